{{- define "ledger.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "ledger.labels" -}}
app.kubernetes.io/name: ledger
{{- end -}}
