{{- define "billing.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "billing.labels" -}}
app.kubernetes.io/name: billing
{{- end -}}
