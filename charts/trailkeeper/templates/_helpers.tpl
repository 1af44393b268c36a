{{/* The image, by its digest where there is one. */}}
{{- define "trailkeeper.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A file of manifests, for the release's namespace. They are copies of what is under config. */}}
{{- define "trailkeeper.manifest" -}}
{{- $text := .root.Files.Get .path -}}
{{- if not $text }}{{ fail (printf "the chart lacks %s: run `make chart`" .path) }}{{ end -}}
{{- $text | replace "trailkeeper-system" .root.Release.Namespace -}}
{{- end -}}

{{/* What selects the operator's pods. */}}
{{- define "trailkeeper.selector" -}}
app.kubernetes.io/name: trailkeeper
app.kubernetes.io/component: manager
{{- end -}}

{{/* What the Pod Security Standard "restricted" asks of a pod, and a numeric user. */}}
{{- define "trailkeeper.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What it asks of a container, and nothing to write to but volumes. */}}
{{- define "trailkeeper.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
