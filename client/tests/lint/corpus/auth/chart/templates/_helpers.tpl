{{- define "auth.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "auth.labels" -}}
app.kubernetes.io/name: auth
{{- end -}}
