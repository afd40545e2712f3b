{{- /* At most 43 characters: a CronJob's name may have 52, with "-trainer" at its end. */}}
{{- define "dermis.name" -}}
{{- $own := .Values.nameOverride | default .Chart.Name }}
{{- $name := contains $own .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $own) }}
{{- .Values.fullnameOverride | default $name | trunc 43 | trimSuffix "-" }}
{{- end }}

{{- define "dermis.selector" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default "dermis" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "dermis.meta" -}}
name: {{ include "dermis.name" .root }}-{{ .part }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "dermis.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/part-of: dermis
{{- end }}

{{- define "dermis.image" -}}
{{- with .root.Values.global.imageRegistry | default .root.Values.image.registry }}{{ . | trimSuffix "/" }}/{{ end }}dermis-{{ .image -}}
{{- with index .root.Values.image.digests .image }}@{{ . }}{{ else }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ if gt (int (dig "gpus" 0 .values)) 0 }}-gpu{{ end }}{{ end }}
{{- end }}

{{- define "dermis.inBucket" -}}
{{- if hasPrefix "gs://" .Values.store.url }}true{{ end -}}
{{- end }}

{{- /* Where TensorFlow Serving sees the store's models/ folder. */}}
{{- define "dermis.modelsRoot" -}}
{{- if include "dermis.inBucket" . }}{{ regexReplaceAll "\\?.*$" .Values.store.url "" | trimSuffix "/" }}/models{{ else }}/store/models{{ end -}}
{{- end }}

{{- /* What is reached from outside, the page and the API: neither /metrics nor /readyz. A test holds it together with the routes. */}}
{{- define "dermis.paths" -}}
{{- dict "/" "Exact" "/assets" "Prefix" "/cases" "Prefix" "/compare" "Exact" "/data" "Exact" "/livez" "Exact" "/models" "Prefix" "/openapi.json" "Exact" "/ops" "Prefix" "/privacy" "Exact" "/shared" "Prefix" "/system" "Exact" "/v1" "Prefix" | toJson }}
{{- end }}

{{- define "dermis.redisHost" -}}
{{- if .Values.redis.builtIn }}{{ include "dermis.name" . }}-redis{{ else }}{{ .Values.redis.external.host | required "redis.external.host: name it, or set redis.builtIn" }}{{ end -}}
{{- end }}

{{- define "dermis.redisPort" -}}
{{- if .Values.redis.builtIn }}6379{{ else }}{{ .Values.redis.external.port }}{{ end -}}
{{- end }}

{{- /* The parts that show metrics on a port of their own, where something looks at them. */}}
{{- define "dermis.measured" -}}
{{- if .Values.monitoring.serviceMonitor }}{{ concat (list "gateway" "worker" "metadata" "sweep") (eq .Values.serving.kind "twin" | ternary (list "serving") list) (.Values.webhooks.enabled | ternary (list "webhooks") list) | toJson }}{{ else }}[]{{ end -}}
{{- end }}

{{- /* What every part knows. */}}
{{- define "dermis.env" -}}
{{- $redis := .root.Values.redis -}}
{{- $password := and (not $redis.builtIn) $redis.external.passwordSecret.name -}}
- { name: DERMIS_STORE_URL, value: {{ .root.Values.store.url | quote }} }
{{- if $password }}
- name: REDIS_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $password }}, key: {{ $redis.external.passwordSecret.key }} } }
{{- end }}
- name: DERMIS_BROKER_URL
  value: "{{ if and (not $redis.builtIn) $redis.external.tls }}rediss{{ else }}redis{{ end }}://{{ if $password }}:$(REDIS_PASSWORD)@{{ end }}{{ include "dermis.redisHost" .root }}:{{ include "dermis.redisPort" .root }}/{{ if $redis.builtIn }}0{{ else }}{{ $redis.external.database }}{{ end }}"
- { name: DERMIS_METADATA_ADDRESS, value: "{{ include "dermis.name" .root }}-metadata:50051" }
- { name: DERMIS_SERVING_ADDRESS, value: "{{ include "dermis.name" .root }}-serving:8500" }
- { name: DERMIS_LOG_LEVEL, value: {{ .root.Values.logLevel }} }
{{- with .root.Values.traces.url }}
- { name: DERMIS_TRACES_URL, value: {{ . | quote }} }
{{- end }}
{{- $settings := deepCopy (.settings | default dict) }}
{{- if and .metrics .root.Values.monitoring.serviceMonitor }}
{{- $settings = set $settings (printf "DERMIS_%s_METRICS_LISTEN" .metrics) "0.0.0.0:9100" }}
{{- end }}
{{- range $name, $value := $settings }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The pods of a part: of an autoscaled one as many as there are, since a field that leaves a manifest falls back to 1. */}}
{{- define "dermis.replicas" -}}
{{- if not .values.autoscaling.enabled -}}
{{ .values.replicas }}
{{- else -}}
{{ dig "spec" "replicas" "" (lookup "apps/v1" "Deployment" .root.Release.Namespace (printf "%s-%s" (include "dermis.name" .root) .part)) }}
{{- end }}
{{- end }}

{{- /* Labels and annotations of a part's pods. */}}
{{- define "dermis.podMeta" -}}
labels:
  {{- include "dermis.selector" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "dermis.container" -}}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- /* The whole store, or those of its `folders` that a part needs. */}}
{{- define "dermis.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if .memory }}
- { name: shm, mountPath: /dev/shm }
{{- end }}
{{- if not (include "dermis.inBucket" .root) }}
{{- range .folders | default (list "") }}
- { name: store, mountPath: /store{{ with . }}/{{ . }}, subPath: {{ . }}{{ end }}{{ if $.readOnly }}, readOnly: true{{ end }} }
{{- end }}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What every pod has: who it is, where it runs, what it may write to. */}}
{{- define "dermis.pod" -}}
serviceAccountName: {{ include "dermis.name" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .group | default 10001 }}
  fsGroup: {{ .group | default 10001 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - { name: {{ . }} }
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "dermis.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- if not .own }}
volumes:
  - { name: tmp, emptyDir: { sizeLimit: {{ .scratch | default "1Gi" }} } }
  {{- with .memory }}
  - { name: shm, emptyDir: { medium: Memory, sizeLimit: {{ . }} } }
  {{- end }}
  {{- if not (include "dermis.inBucket" .root) }}
  - name: store
    persistentVolumeClaim: { claimName: {{ .root.Values.store.volume.existingClaim | default (printf "%s-store" (include "dermis.name" .root)) }} }
  {{- end }}
  {{- with .claim }}
  - name: backup
    persistentVolumeClaim: { claimName: {{ . }} }
  {{- end }}
  {{- with .values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Keeps one pod of a part running while nodes are emptied. */}}
{{- define "dermis.disruption" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "dermis.meta" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "dermis.selector" . | nindent 6 }}
{{- end }}

{{- /* Pods that follow the CPU. */}}
{{- define "dermis.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{- include "dermis.meta" . | nindent 2 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ include "dermis.name" .root }}-{{ .part }} }
  minReplicas: {{ .values.autoscaling.min }}
  maxReplicas: {{ .values.autoscaling.max }}
  metrics:
    - type: Resource
      resource: { name: cpu, target: { type: Utilization, averageUtilization: {{ .values.autoscaling.cpuPercent }} } }
{{- end }}

{{- /* A Service without an address of its own: gRPC clients see every pod and take turns. */}}
{{- define "dermis.headless" -}}
apiVersion: v1
kind: Service
metadata: {{- include "dermis.meta" . | nindent 2 }}
spec:
  clusterIP: None
  selector: {{- include "dermis.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - { name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }} }
    {{- end }}
{{- end }}

{{- /* The cores and memory of a part, and its GPUs. */}}
{{- define "dermis.withGpus" -}}
{{- $resources := deepCopy .resources }}
{{- if gt (int .gpus) 0 }}
{{- $resources = mergeOverwrite $resources (dict "limits" (dict "nvidia.com/gpu" (int .gpus))) }}
{{- end }}
{{- toYaml $resources }}
{{- end }}
