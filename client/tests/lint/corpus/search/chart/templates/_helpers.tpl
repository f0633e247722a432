{{- define "search.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "search.labels" -}}
app.kubernetes.io/name: search
{{- end -}}
