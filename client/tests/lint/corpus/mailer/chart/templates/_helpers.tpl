{{- define "mailer.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "mailer.labels" -}}
app.kubernetes.io/name: mailer
{{- end -}}
