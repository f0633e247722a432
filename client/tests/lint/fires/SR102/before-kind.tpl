apiVersion: v1
data:
  {{- range $k, $v := .Values.more }}
  {{ $k }}: {{ $v | b64enc }}
  {{- end }}
  token: dG9rZW4=   # here
kind: Secret
