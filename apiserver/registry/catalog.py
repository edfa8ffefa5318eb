"""The table of every built-in resource: what this cluster serves.

A kind is a row here, a strategy that says what is special about it, and a module in `kubarium/api/` with its defaults
and its rules. Routing, discovery, OpenAPI, storage, watches, patches and `kubectl get` follow from the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from apiserver.registry import (
    apps,
    batch,
    certificates,
    networking,
    policy_and_rbac,
    registrations,
    reviews,
    subresources,
)
from apiserver.registry import autoscaling as hpa
from apiserver.registry import storage_and_scheduling as storing
from apiserver.registry.columns.by_kind import COLUMNS, ROW_CONDITIONS, ROW_ORDER
from apiserver.registry.core import (
    events,
    namespace,
    node,
    pod,
    pod_binding,
    pod_eviction,
    service,
    service_account,
    simple,
)
from apiserver.registry.resource import ALL_VERBS, Resource, Subresource
from apiserver.registry.strategy import Strategy
from apiserver.registry.subresources import part, scale, status, stream
from kubarium.api.core.pod import resize_rules, update_rules
from kubarium.apimachinery.group_version import GroupVersionKind

NOT_IN_BULK = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")


def rows() -> list[Resource]:
    """All built-in resources, in the order in which upstream lists groups."""
    return [
        *_core(), *_registrations(), *_apps(), *_events(), *_reviews(), *_autoscaling(), *_batch(), *_certificates(),
        *_networking(), *_policy(), *_rbac(), *_storage(), *_admission(), *_extensions(), *_scheduling(), *_resource(),
        *_flow_control(),
    ]  # fmt: skip


def _row(
    api_version: str,
    kind: str,
    plural: str,
    strategy: Strategy | None = None,
    *subs: Subresource,
    short: str = "",
    cluster: bool = False,
    categories: tuple[str, ...] = (),
    **more: Any,
) -> Resource:
    return Resource(
        api_version,
        kind,
        plural,
        replace(
            strategy or Strategy(),
            columns=COLUMNS.get(kind, ()),
            row_conditions=ROW_CONDITIONS.get(kind),
            row_order=ROW_ORDER.get(kind),
        ),
        tuple(short.split()),
        categories,
        namespaced=not cluster,
        subresources={sub.name: sub for sub in subs},
        **more,
    )


ALL = ("all",)
EXTENSIONS = ("api-extensions",)


def _core() -> list[Resource]:
    v1 = "v1"
    return [
        _row(v1, "Binding", "bindings", verbs=("create",), answer=pod_binding.bind_by_collection),
        _row(v1, "ComponentStatus", "componentstatuses", short="cs", cluster=True, verbs=("get", "list"),
             observed=True,
             deprecation="v1 ComponentStatus is deprecated in v1.19+"),
        _row(v1, "ConfigMap", "configmaps", simple.CONFIG_MAP, short="cm"),
        _row(v1, "Endpoints", "endpoints", simple.ENDPOINTS, short="ep", storage_prefix="services/endpoints",
             deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        _row(v1, "Event", "events", events.EVENT, short="ev"),
        _row(v1, "LimitRange", "limitranges", simple.LIMIT_RANGE, short="limits"),
        _row(v1, "Namespace", "namespaces", namespace.STRATEGY, status(v1, "Namespace"),
             part("finalize", v1, "Namespace", namespace.prepare_finalize, namespace.validate_finalize,
                  verbs=("update",)),
             short="ns", cluster=True, verbs=NOT_IN_BULK),
        _row(v1, "Node", "nodes", node.STRATEGY, status(v1, "Node"), stream("proxy", v1, "NodeProxyOptions"),
             short="no", cluster=True, storage_prefix="minions"),
        _row(v1, "PersistentVolumeClaim", "persistentvolumeclaims", simple.CLAIM,
             status(v1, "PersistentVolumeClaim"), short="pvc"),
        _row(v1, "PersistentVolume", "persistentvolumes", simple.VOLUME, status(v1, "PersistentVolume"),
             short="pv", cluster=True),
        _row(v1, "Pod", "pods", pod.STRATEGY, status(v1, "Pod"),
             stream("attach", v1, "PodAttachOptions", ("create", "get")),
             Subresource("binding", GroupVersionKind("", v1, "Binding"), ("create",), pod_binding.bind),
             part("ephemeralcontainers", v1, "Pod", pod.prepare_ephemeral_containers,
                  update_rules.validate_ephemeral_containers),
             Subresource("eviction", GroupVersionKind("policy", v1, "Eviction"), ("create",), pod_eviction.evict,
                         also_reads=("policy/v1beta1",)),
             stream("exec", v1, "PodExecOptions", ("create", "get")),
             stream("log", v1, "Pod", ("get",)),
             stream("portforward", v1, "PodPortForwardOptions", ("create", "get")),
             stream("proxy", v1, "PodProxyOptions"),
             part("resize", v1, "Pod", pod.prepare_resize, resize_rules.validate_resize),
             short="po", categories=ALL),
        _row(v1, "PodTemplate", "podtemplates", simple.POD_TEMPLATE),
        _row(v1, "ReplicationController", "replicationcontrollers", apps.REPLICATION_CONTROLLER,
             scale(subresources.map_selector), status(v1, "ReplicationController"),
             short="rc", categories=ALL, storage_prefix="controllers"),
        _row(v1, "ResourceQuota", "resourcequotas", simple.RESOURCE_QUOTA, status(v1, "ResourceQuota"), short="quota"),
        _row(v1, "Secret", "secrets", simple.SECRET),
        _row(v1, "ServiceAccount", "serviceaccounts", simple.SERVICE_ACCOUNT,
             Subresource("token", GroupVersionKind("authentication.k8s.io", v1, "TokenRequest"), ("create",),
                         service_account.issue_token), short="sa"),
        _row(v1, "Service", "services", service.STRATEGY, stream("proxy", v1, "ServiceProxyOptions"),
             status(v1, "Service"), short="svc", categories=ALL, storage_prefix="services/specs"),
    ]  # fmt: skip


def _registrations() -> list[Resource]:
    v1 = "apiregistration.k8s.io/v1"
    return [
        _row(v1, "APIService", "apiservices", registrations.API_SERVICE, status(v1, "APIService"), cluster=True,
             categories=EXTENSIONS, storage_prefix="apiregistration.k8s.io/apiservices"),
    ]  # fmt: skip


def _apps() -> list[Resource]:
    v1 = "apps/v1"
    return [
        _row(v1, "ControllerRevision", "controllerrevisions", apps.CONTROLLER_REVISION),
        _row(v1, "DaemonSet", "daemonsets", apps.DAEMON_SET, status(v1, "DaemonSet"), short="ds", categories=ALL),
        _row(v1, "Deployment", "deployments", apps.DEPLOYMENT, scale(), status(v1, "Deployment"), short="deploy",
             categories=ALL),
        _row(v1, "ReplicaSet", "replicasets", apps.REPLICA_SET, scale(), status(v1, "ReplicaSet"), short="rs",
             categories=ALL),
        _row(v1, "StatefulSet", "statefulsets", apps.STATEFUL_SET, scale(), status(v1, "StatefulSet"), short="sts",
             categories=ALL),
    ]  # fmt: skip


def _events() -> list[Resource]:
    return [
        _row("events.k8s.io/v1", "Event", "events", events.NEW_EVENT, short="ev", storage_version="v1",
             to_storage=events.to_core, from_storage=events.from_core),
    ]  # fmt: skip


def _reviews() -> list[Resource]:
    def row(
        api_version: str, kind: str, plural: str, answer: Callable[..., Any], cluster: bool = True
    ) -> Resource:
        return _row(api_version, kind, plural, cluster=cluster, verbs=("create",), answer=answer)

    authentication, authorization = "authentication.k8s.io/v1", "authorization.k8s.io/v1"
    return [
        row(authentication, "SelfSubjectReview", "selfsubjectreviews", reviews.review_self),
        row(authentication, "TokenReview", "tokenreviews", reviews.review_token),
        row(
            authorization,
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            reviews.review_local_access,
            False,
        ),
        row(authorization, "SelfSubjectAccessReview", "selfsubjectaccessreviews", reviews.review_own_access),
        row(authorization, "SelfSubjectRulesReview", "selfsubjectrulesreviews", reviews.review_own_rules),
        row(authorization, "SubjectAccessReview", "subjectaccessreviews", reviews.review_access),
    ]


def _autoscaling() -> list[Resource]:
    v2, v1, kind, plural = (
        "autoscaling/v2",
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
    older = _row(v1, kind, plural, hpa.STRATEGY, status(v1, kind), short="hpa", categories=ALL, storage_version=v2,
                 to_storage=hpa.to_v2, from_storage=hpa.from_v2)  # fmt: skip
    return [
        _row(v2, kind, plural, hpa.STRATEGY, status(v2, kind), short="hpa", categories=ALL, other_form=older),
        older,
    ]


def _batch() -> list[Resource]:
    v1 = "batch/v1"
    return [
        _row(v1, "CronJob", "cronjobs", batch.CRON_JOB, status(v1, "CronJob"), short="cj", categories=ALL),
        _row(v1, "Job", "jobs", batch.JOB, status(v1, "Job"), categories=ALL),
    ]


def _certificates() -> list[Resource]:
    v1, kind = "certificates.k8s.io/v1", "CertificateSigningRequest"
    return [
        _row(v1, kind, "certificatesigningrequests", certificates.STRATEGY,
             part("approval", v1, kind, certificates.prepare_approval, certificates.decisions_stay),
             status(v1, kind), short="csr", cluster=True),
    ]  # fmt: skip


def _networking() -> list[Resource]:
    v1 = "networking.k8s.io/v1"
    return [
        _row("coordination.k8s.io/v1", "Lease", "leases", networking.LEASE),
        _row("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", networking.ENDPOINT_SLICE),
        _row(v1, "IngressClass", "ingressclasses", networking.INGRESS_CLASS, cluster=True),
        _row(v1, "Ingress", "ingresses", networking.INGRESS, status(v1, "Ingress"), short="ing",
             storage_prefix="ingress"),
        _row(v1, "IPAddress", "ipaddresses", networking.IP_ADDRESS, short="ip", cluster=True),
        _row(v1, "NetworkPolicy", "networkpolicies", networking.NETWORK_POLICY, short="netpol"),
        _row(v1, "ServiceCIDR", "servicecidrs", networking.SERVICE_CIDR, status(v1, "ServiceCIDR"), cluster=True),
    ]  # fmt: skip


def _policy() -> list[Resource]:
    v1 = "policy/v1"
    return [
        _row(v1, "PodDisruptionBudget", "poddisruptionbudgets", policy_and_rbac.DISRUPTION_BUDGET,
             status(v1, "PodDisruptionBudget"), short="pdb"),
    ]  # fmt: skip


def _rbac() -> list[Resource]:
    v1 = "rbac.authorization.k8s.io/v1"
    return [
        _row(
            v1,
            "ClusterRoleBinding",
            "clusterrolebindings",
            policy_and_rbac.CLUSTER_ROLE_BINDING,
            cluster=True,
        ),
        _row(v1, "ClusterRole", "clusterroles", policy_and_rbac.CLUSTER_ROLE, cluster=True),
        _row(v1, "RoleBinding", "rolebindings", policy_and_rbac.ROLE_BINDING),
        _row(v1, "Role", "roles", policy_and_rbac.ROLE),
    ]


def _storage() -> list[Resource]:
    v1 = "storage.k8s.io/v1"
    return [
        _row(v1, "CSIDriver", "csidrivers", storing.CSI_DRIVER, cluster=True),
        _row(v1, "CSINode", "csinodes", storing.CSI_NODE, cluster=True),
        _row(v1, "CSIStorageCapacity", "csistoragecapacities", storing.CSI_STORAGE_CAPACITY),
        _row(v1, "StorageClass", "storageclasses", storing.STORAGE_CLASS, short="sc", cluster=True),
        _row(v1, "VolumeAttachment", "volumeattachments", storing.VOLUME_ATTACHMENT, status(v1, "VolumeAttachment"),
             cluster=True),
        _row(v1, "VolumeAttributesClass", "volumeattributesclasses", storing.VOLUME_ATTRIBUTES_CLASS, short="vac",
             cluster=True),
    ]  # fmt: skip


def _admission() -> list[Resource]:
    v1 = "admissionregistration.k8s.io/v1"

    def row(kind: str, plural: str, strategy: Strategy, *subs: Subresource) -> Resource:
        return _row(v1, kind, plural, strategy, *subs, cluster=True, categories=EXTENSIONS)

    return [
        row("MutatingAdmissionPolicy", "mutatingadmissionpolicies", storing.MUTATING_POLICY),
        row("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", storing.MUTATING_BINDING),
        row("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", storing.MUTATING_WEBHOOK),
        row("ValidatingAdmissionPolicy", "validatingadmissionpolicies", storing.VALIDATING_POLICY,
            status(v1, "ValidatingAdmissionPolicy")),
        row("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", storing.VALIDATING_BINDING),
        row("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", storing.VALIDATING_WEBHOOK),
    ]  # fmt: skip


def _extensions() -> list[Resource]:
    v1, kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
    return [
        _row(v1, kind, "customresourcedefinitions", registrations.CUSTOM_RESOURCE_DEFINITION, status(v1, kind),
             short="crd crds", cluster=True, categories=EXTENSIONS,
             storage_prefix="apiextensions.k8s.io/customresourcedefinitions"),
    ]  # fmt: skip


def _scheduling() -> list[Resource]:
    return [
        _row("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", storing.PRIORITY_CLASS, short="pc",
             cluster=True),
        _row("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", storing.RUNTIME_CLASS, cluster=True),
    ]  # fmt: skip


def _resource() -> list[Resource]:
    v1 = "resource.k8s.io/v1"
    return [
        _row(v1, "DeviceClass", "deviceclasses", storing.DEVICE_CLASS, cluster=True),
        _row(v1, "ResourceClaim", "resourceclaims", storing.RESOURCE_CLAIM, status(v1, "ResourceClaim")),
        _row(v1, "ResourceClaimTemplate", "resourceclaimtemplates", storing.RESOURCE_CLAIM_TEMPLATE),
        _row(v1, "ResourceSlice", "resourceslices", storing.RESOURCE_SLICE, cluster=True),
    ]


def _flow_control() -> list[Resource]:
    v1 = "flowcontrol.apiserver.k8s.io/v1"
    return [
        _row(v1, "FlowSchema", "flowschemas", storing.FLOW_SCHEMA, status(v1, "FlowSchema"), cluster=True),
        _row(v1, "PriorityLevelConfiguration", "prioritylevelconfigurations", storing.PRIORITY_LEVEL,
             status(v1, "PriorityLevelConfiguration"), cluster=True),
    ]  # fmt: skip
