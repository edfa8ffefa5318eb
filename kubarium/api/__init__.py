"""The nouns: one module per kind, with its defaults, its validity and the questions asked of it.

    core/                   Pod, Node, Service, Namespace, ConfigMap, Secret, volumes, quotas, events
    apps/                   Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision
    batch/                  Job, CronJob
    autoscaling/            HorizontalPodAutoscaler, Scale
    networking/             Ingress, NetworkPolicy, ServiceCIDR
    discovery/              EndpointSlice
    policy/                 PodDisruptionBudget
    rbac/                   roles and bindings
    storage/                StorageClass, CSI objects, VolumeAttachment
    scheduling/             PriorityClass
    coordination/           Lease
    certificates/           CertificateSigningRequest
    authentication/, authorization/     reviews
    admissionregistration/  webhooks and policies
    apiextensions/          CustomResourceDefinition
    flowcontrol/            flow schemas and priority levels

Each module offers what it needs of `fill_defaults(obj)` (in place), `validate(obj)` and `validate_update(new, old)`
(lists of `FieldError`), and small questions: `pod.status.is_ready(pod)`. Pure functions over plain dicts, no I/O.
`core/config_map.py` is the smallest full example.
"""
