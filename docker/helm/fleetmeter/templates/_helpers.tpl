{{- define "fleetmeter.name" -}}
{{ contains "fleetmeter" .Release.Name | ternary .Release.Name (printf "%s-fleetmeter" .Release.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "fleetmeter.labels" -}}
{{ include "fleetmeter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "fleetmeter.selector" -}}
app.kubernetes.io/name: fleetmeter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the service and the migration have in common: no rights, no token, no variables of Services (FLEETMETER_PORT
would be one of them, and is a setting). */}}
{{- define "fleetmeter.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fleetmeter.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{/* A file for each secret setting, and /tmp. */}}
{{- define "fleetmeter.mounts" -}}
- name: secret
  mountPath: /run/secrets/fleetmeter
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "fleetmeter.tmp" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{- define "fleetmeter.settings" -}}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
