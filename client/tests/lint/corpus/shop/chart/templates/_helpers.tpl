{{- define "shop.secretName" -}}
{{- default (printf "%s-auth" .Release.Name) .Values.auth.existingSecret -}}
{{- end -}}
{{- define "shop.labels" -}}
app.kubernetes.io/name: shop
{{- end -}}
