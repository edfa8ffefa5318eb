"""The table: kind -> columns. A kind that is not here shows its name and when it was made."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.registry.columns import core, networking_and_storage, others, pods, workloads
from apiserver.registry.strategy import Column

COLUMNS: dict[str, Sequence[Column]] = {
    "ComponentStatus": core.COMPONENT_STATUS,
    "ConfigMap": core.CONFIG_MAP,
    "Endpoints": core.ENDPOINTS,
    "Event": core.EVENT,
    "Namespace": core.NAMESPACE,
    "Node": core.NODE,
    "PersistentVolume": core.PERSISTENT_VOLUME,
    "PersistentVolumeClaim": core.PERSISTENT_VOLUME_CLAIM,
    "Pod": pods.POD,
    "PodTemplate": core.POD_TEMPLATE,
    "ReplicationController": core.REPLICATION_CONTROLLER,
    "ResourceQuota": core.RESOURCE_QUOTA,
    "Secret": core.SECRET,
    "Service": core.SERVICE,
    "ServiceAccount": core.SERVICE_ACCOUNT,
    "ControllerRevision": workloads.CONTROLLER_REVISION,
    "CronJob": workloads.CRON_JOB,
    "DaemonSet": workloads.DAEMON_SET,
    "Deployment": workloads.DEPLOYMENT,
    "HorizontalPodAutoscaler": workloads.AUTOSCALER,
    "Job": workloads.JOB,
    "PodDisruptionBudget": workloads.DISRUPTION_BUDGET,
    "ReplicaSet": workloads.REPLICA_SET,
    "Scale": workloads.SCALE,
    "StatefulSet": workloads.STATEFUL_SET,
    "APIService": others.API_SERVICE,
    "CSIDriver": networking_and_storage.CSI_DRIVER,
    "CSINode": networking_and_storage.CSI_NODE,
    "CSIStorageCapacity": networking_and_storage.CSI_STORAGE_CAPACITY,
    "CertificateSigningRequest": others.SIGNING_REQUEST,
    "ClusterRole": others.ROLE,
    "ClusterRoleBinding": others.CLUSTER_ROLE_BINDING,
    "CustomResourceDefinition": others.DEFINITION,
    "DeviceClass": others.PLAIN,
    "EndpointSlice": networking_and_storage.ENDPOINT_SLICE,
    "FlowSchema": others.FLOW_SCHEMA,
    "IPAddress": networking_and_storage.IP_ADDRESS,
    "Ingress": networking_and_storage.INGRESS,
    "IngressClass": networking_and_storage.INGRESS_CLASS,
    "Lease": others.LEASE,
    "MutatingAdmissionPolicy": others.MUTATING_POLICY,
    "MutatingAdmissionPolicyBinding": others.POLICY_BINDING,
    "MutatingWebhookConfiguration": others.WEBHOOKS,
    "NetworkPolicy": networking_and_storage.NETWORK_POLICY,
    "PriorityClass": others.PRIORITY_CLASS,
    "PriorityLevelConfiguration": others.PRIORITY_LEVEL,
    "ResourceClaim": others.RESOURCE_CLAIM,
    "ResourceClaimTemplate": others.PLAIN,
    "ResourceSlice": others.RESOURCE_SLICE,
    "Role": others.ROLE,
    "RoleBinding": others.ROLE_BINDING,
    "RuntimeClass": others.RUNTIME_CLASS,
    "ServiceCIDR": networking_and_storage.SERVICE_CIDR,
    "StorageClass": networking_and_storage.STORAGE_CLASS,
    "ValidatingAdmissionPolicy": others.POLICY,
    "ValidatingAdmissionPolicyBinding": others.POLICY_BINDING,
    "ValidatingWebhookConfiguration": others.WEBHOOKS,
    "VolumeAttachment": networking_and_storage.VOLUME_ATTACHMENT,
    "VolumeAttributesClass": networking_and_storage.VOLUME_ATTRIBUTES_CLASS,
}
ROW_CONDITIONS = {"Pod": pods.row_conditions}
"""Kinds whose rows say more than their cells."""
ROW_ORDER = {"FlowSchema": others.by_precedence}
"""Kinds whose rows are not in the order of names."""
