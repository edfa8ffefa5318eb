"""The table: who describes which kind. What stands not here is described field by field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers import (
    access,
    autoscaling,
    certificates,
    networking,
    nodes,
    plain,
    pods,
    workloads,
)
from kubarium.kubectl.describers.page import Page
from kubarium.kubectl.session import Session

Describer = Callable[[Session, Object, Page], Awaitable[None]]

DESCRIBERS: Mapping[tuple[str, str], Describer] = {
    ("", "ConfigMap"): plain.config_map,
    ("", "Endpoints"): networking.endpoints,
    ("", "LimitRange"): plain.limit_range,
    ("", "Namespace"): plain.namespace,
    ("", "Node"): nodes.node,
    ("", "PersistentVolume"): plain.volume,
    ("", "PersistentVolumeClaim"): plain.claim,
    ("", "Pod"): pods.pod,
    ("", "ReplicationController"): workloads.replica_set,
    ("", "ResourceQuota"): plain.quota,
    ("", "Secret"): plain.secret,
    ("", "Service"): networking.service,
    ("", "ServiceAccount"): plain.service_account,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.autoscaler,
    ("batch", "CronJob"): workloads.cron_job,
    ("batch", "Job"): workloads.job,
    ("certificates.k8s.io", "CertificateSigningRequest"): certificates.signing_request,
    ("discovery.k8s.io", "EndpointSlice"): networking.endpoint_slice,
    ("networking.k8s.io", "Ingress"): networking.ingress,
    ("networking.k8s.io", "IngressClass"): networking.ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): networking.network_policy,
    ("policy", "PodDisruptionBudget"): workloads.disruption_budget,
    ("rbac.authorization.k8s.io", "ClusterRole"): access.role,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): access.binding,
    ("rbac.authorization.k8s.io", "Role"): access.role,
    ("rbac.authorization.k8s.io", "RoleBinding"): access.binding,
    ("scheduling.k8s.io", "PriorityClass"): plain.priority_class,
    ("storage.k8s.io", "CSINode"): nodes.csi_node,
    ("storage.k8s.io", "StorageClass"): plain.storage_class,
    ("storage.k8s.io", "VolumeAttributesClass"): plain.attributes_class,
}

WITHOUT_EVENTS = frozenset(
    {"ClusterRole", "ClusterRoleBinding", "LimitRange", "Namespace", "NetworkPolicy", "ResourceQuota", "Role"}
    | {"RoleBinding", "Secret"}
)
"""Kinds of whose events upstream says nothing."""
