"""The table: every controller, the account it acts as, and how it is built. Order in the table is order of start.

`--controllers=*,-cronjob-controller` chooses from it. The short names of older versions (`cronjob`) still work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from controller_manager.controllers.cleanup.garbage_collector.collector import GarbageCollector
from controller_manager.controllers.cleanup.namespace import NamespaceController
from controller_manager.controllers.cleanup.pod_gc import PodGC
from controller_manager.controllers.cleanup.resource_quota import ResourceQuotaController
from controller_manager.controllers.cleanup.ttl_after_finished import TTLAfterFinishedController
from controller_manager.controllers.identity import (
    bootstrap_tokens,
    certificate_signing,
    service_account_token,
)
from controller_manager.controllers.identity.cluster_role_aggregation import ClusterRoleAggregationController
from controller_manager.controllers.identity.root_ca_publisher import RootCAPublisher
from controller_manager.controllers.identity.service_account import ServiceAccountController
from controller_manager.controllers.networking.endpoint_slice import EndpointSliceController
from controller_manager.controllers.networking.endpoint_slice_mirroring import (
    EndpointSliceMirroringController,
)
from controller_manager.controllers.networking.endpoints import EndpointsController
from controller_manager.controllers.networking.service_cidr import ServiceCIDRController
from controller_manager.controllers.nodes import node_ipam, node_lifecycle
from controller_manager.controllers.nodes.taint_eviction import TaintEvictionController
from controller_manager.controllers.nodes.ttl import TTLController
from controller_manager.controllers.policy.validating_admission_policy_status import (
    ValidatingAdmissionPolicyStatusController,
)
from controller_manager.controllers.volumes import protection
from controller_manager.controllers.volumes.attach_detach import AttachDetachController
from controller_manager.controllers.volumes.binder import PersistentVolumeBinder
from controller_manager.controllers.volumes.ephemeral import EphemeralVolumeController
from controller_manager.controllers.volumes.expand import ExpandController
from controller_manager.controllers.workloads.cron_job import CronJobController
from controller_manager.controllers.workloads.daemon_set.controller import DaemonSetController
from controller_manager.controllers.workloads.deployment.controller import DeploymentController
from controller_manager.controllers.workloads.disruption import DisruptionController
from controller_manager.controllers.workloads.horizontal_pod_autoscaler import (
    HorizontalPodAutoscalerController,
)
from controller_manager.controllers.workloads.job.controller import JobController
from controller_manager.controllers.workloads.replica_set import ReplicaSetController
from controller_manager.controllers.workloads.replication_controller import ReplicationControllers
from controller_manager.controllers.workloads.resource_claim import ResourceClaimController
from controller_manager.controllers.workloads.stateful_set.controller import StatefulSetController
from controller_manager.options import Options
from kubarium.api.autoscaling import horizontal_pod_autoscaler as autoscaling
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.certificates import Authority
from kubarium.component_base.clock import Clock


class Runnable(Protocol):
    """What a row builds: something that runs until it is cancelled."""

    async def run(self) -> None:
        """Work."""
        ...


@dataclass
class Context:
    """What controllers are built from."""

    options: Options
    informers: Informers
    clock: Clock
    client_for: Callable[[str], Client]
    recorders: list[EventRecorder] = field(default_factory=list)
    client: Client = field(init=False)  # acts as the account of the row that is being built

    def events(self, component: str) -> EventRecorder:
        """A recorder that names this component as the source."""
        recorder = EventRecorder(self.client, component, clock=self.clock)
        self.recorders.append(recorder)
        return recorder

    def parts(self) -> tuple[Client, Informers, Clock]:
        """What every controller takes first."""
        return self.client, self.informers, self.clock


@dataclass(frozen=True)
class Row:
    """One controller. `build` answers None when the flags leave nothing for it to do.

    Without an `account` it acts as the manager itself: it has to read what no other controller may.
    """

    name: str
    alias: str
    account: str
    build: Callable[[Context], Runnable | None]
    on_by_default: bool = True


def _endpoints(c: Context) -> Runnable:
    return EndpointsController(
        *c.parts(), c.events("endpoint-controller"), workers=c.options.concurrent_endpoint_syncs
    )


def _endpoint_slices(c: Context) -> Runnable:
    return EndpointSliceController(
        *c.parts(),
        c.events("endpoint-slice-controller"),
        workers=c.options.concurrent_service_endpoint_syncs,
        max_endpoints=c.options.max_endpoints_per_slice,
    )


def _replication_controllers(c: Context) -> Runnable:
    return ReplicaSetController(
        *c.parts(),
        c.events("replication-controller"),
        kind=ReplicationControllers(),
        workers=c.options.concurrent_rc_syncs,
    )


def _replica_sets(c: Context) -> Runnable:
    return ReplicaSetController(
        *c.parts(), c.events("replicaset-controller"), workers=c.options.concurrent_replicaset_syncs
    )


def _deployments(c: Context) -> Runnable:
    return DeploymentController(
        *c.parts(), c.events("deployment-controller"), workers=c.options.concurrent_deployment_syncs
    )


def _stateful_sets(c: Context) -> Runnable:
    return StatefulSetController(
        *c.parts(), c.events("statefulset-controller"), workers=c.options.concurrent_statefulset_syncs
    )


def _daemon_sets(c: Context) -> Runnable:
    return DaemonSetController(
        *c.parts(), c.events("daemonset-controller"), workers=c.options.concurrent_daemonset_syncs
    )


def _jobs(c: Context) -> Runnable:
    return JobController(*c.parts(), c.events("job-controller"), workers=c.options.concurrent_job_syncs)


def _cron_jobs(c: Context) -> Runnable:
    return CronJobController(
        *c.parts(), c.events("cronjob-controller"), workers=c.options.concurrent_cron_job_syncs
    )


def _pod_gc(c: Context) -> Runnable:
    return PodGC(*c.parts(), terminated_pod_threshold=c.options.terminated_pod_gc_threshold)


def _namespaces(c: Context) -> Runnable:
    return NamespaceController(*c.parts(), workers=c.options.concurrent_namespace_syncs)


def _garbage_collector(c: Context) -> Runnable | None:
    if not c.options.enable_garbage_collector:
        return None
    return GarbageCollector(
        *c.parts(), c.events("garbage-collector-controller"), workers=c.options.concurrent_gc_syncs
    )


def _service_accounts(c: Context) -> Runnable:
    return ServiceAccountController(*c.parts())


def _root_ca(c: Context) -> Runnable | None:
    if not c.options.root_ca_file:
        return None
    return RootCAPublisher(*c.parts(), root_ca=Path(c.options.root_ca_file).read_text())


def _node_ipam(c: Context) -> Runnable | None:
    if not c.options.allocate_node_cidrs or not c.options.cluster_cidr:
        return None
    pools = node_ipam.pools_for(c.options.cluster_cidr, c.options.mask_size(4), c.options.mask_size(6))
    ranges = [text for text in c.options.service_cluster_ip_range.split(",") if text]
    return node_ipam.NodeIPAMController(
        *c.parts(), c.events("cidrAllocator"), pools=pools, service_ranges=ranges
    )


def _node_lifecycle(c: Context) -> Runnable:
    settings = node_lifecycle.Settings(
        monitor_period=c.options.node_monitor_period,
        grace_period=c.options.node_monitor_grace_period,
        startup_grace_period=c.options.node_startup_grace_period,
        eviction_rate=c.options.node_eviction_rate,
        secondary_eviction_rate=c.options.secondary_node_eviction_rate,
        large_cluster_size=c.options.large_cluster_size_threshold,
        unhealthy_zone_threshold=c.options.unhealthy_zone_threshold,
    )
    return node_lifecycle.NodeLifecycleController(*c.parts(), c.events("node-controller"), settings)


def _taint_eviction(c: Context) -> Runnable:
    return TaintEvictionController(*c.parts(), c.events("taint-eviction-controller"))


def _mirroring(c: Context) -> Runnable:
    return EndpointSliceMirroringController(
        *c.parts(),
        c.events("endpoint-slice-mirroring-controller"),
        workers=c.options.mirroring_concurrent_service_endpoint_syncs,
        limit=c.options.mirroring_max_endpoints_per_subset,
    )


def _service_cidrs(c: Context) -> Runnable:
    return ServiceCIDRController(*c.parts())


def _quotas(c: Context) -> Runnable:
    return ResourceQuotaController(
        *c.parts(),
        workers=c.options.concurrent_resource_quota_syncs,
        period=c.options.resource_quota_sync_period,
    )


def _autoscalers(c: Context) -> Runnable:
    settings = autoscaling.Settings(
        tolerance=c.options.horizontal_pod_autoscaler_tolerance,
        cpu_initialization=c.options.horizontal_pod_autoscaler_cpu_initialization_period,
        readiness_delay=c.options.horizontal_pod_autoscaler_initial_readiness_delay,
        downscale_stabilization=c.options.horizontal_pod_autoscaler_downscale_stabilization,
    )
    return HorizontalPodAutoscalerController(
        *c.parts(),
        c.events("horizontal-pod-autoscaler"),
        workers=c.options.concurrent_horizontal_pod_autoscaler_syncs,
        period=c.options.horizontal_pod_autoscaler_sync_period,
        settings=settings,
    )


def _disruption(c: Context) -> Runnable:
    return DisruptionController(*c.parts(), c.events("controllermanager"))


def _ttl_after_finished(c: Context) -> Runnable:
    return TTLAfterFinishedController(*c.parts(), workers=c.options.concurrent_ttl_after_finished_syncs)


def _binder(c: Context) -> Runnable:
    return PersistentVolumeBinder(
        *c.parts(),
        c.events("persistentvolume-controller"),
        provisioning=c.options.enable_dynamic_provisioning,
        period=c.options.pvclaimbinder_sync_period,
    )


def _attach_detach(c: Context) -> Runnable:
    return AttachDetachController(*c.parts(), c.events("attachdetach-controller"))


def _expander(c: Context) -> Runnable:
    return ExpandController(*c.parts(), c.events("volume_expand"))


def _claim_protection(c: Context) -> Runnable:
    return protection.ClaimProtectionController(*c.parts())


def _volume_protection(c: Context) -> Runnable:
    return protection.VolumeProtectionController(*c.parts())


def _attributes_class_protection(c: Context) -> Runnable:
    return protection.AttributesClassProtectionController(*c.parts())


def _ephemeral_volumes(c: Context) -> Runnable:
    return EphemeralVolumeController(
        *c.parts(), c.events("ephemeral_volume"), workers=c.options.concurrent_ephemeralvolume_syncs
    )


def _resource_claims(c: Context) -> Runnable:
    return ResourceClaimController(*c.parts(), c.events("resource_claim"))


def _node_ttl(c: Context) -> Runnable:
    return TTLController(*c.parts())


def _cluster_role_aggregation(c: Context) -> Runnable:
    return ClusterRoleAggregationController(*c.parts())


def _csr_approver(c: Context) -> Runnable:
    return certificate_signing.CertificateApprover(*c.parts())


def _csr_signer(c: Context) -> Runnable | None:
    if not c.options.cluster_signing_cert_file or not c.options.cluster_signing_key_file:
        return None
    authority = Authority.read(c.options.cluster_signing_cert_file, c.options.cluster_signing_key_file)
    longest = timedelta(seconds=c.options.cluster_signing_duration)
    return certificate_signing.CertificateSigner(*c.parts(), authority=authority, longest=longest)


def _csr_cleaner(c: Context) -> Runnable:
    return certificate_signing.CertificateCleaner(*c.parts())


def _token_secrets(c: Context) -> Runnable | None:
    if not c.options.service_account_private_key_file:
        return None
    issuer = service_account_token.LegacyIssuer(Path(c.options.service_account_private_key_file).read_bytes())
    root_ca = Path(c.options.root_ca_file).read_text() if c.options.root_ca_file else ""
    return service_account_token.ServiceAccountTokenController(
        *c.parts(),
        issuer=issuer,
        root_ca=root_ca,
        workers=c.options.concurrent_serviceaccount_token_syncs,
    )


def _legacy_tokens(c: Context) -> Runnable:
    period = c.options.legacy_service_account_token_clean_up_period
    return service_account_token.LegacyTokenCleaner(*c.parts(), period=period)


def _bootstrap_signer(c: Context) -> Runnable:
    return bootstrap_tokens.BootstrapSigner(*c.parts())


def _token_cleaner(c: Context) -> Runnable:
    return bootstrap_tokens.TokenCleaner(*c.parts())


def _policy_status(c: Context) -> Runnable:
    return ValidatingAdmissionPolicyStatusController(*c.parts())


CONTROLLERS: Sequence[Row] = (
    Row("serviceaccount-token-controller", "serviceaccount-token", "", _token_secrets),
    Row("endpoints-controller", "endpoint", "endpoint-controller", _endpoints),
    Row("endpointslice-controller", "endpointslice", "endpointslice-controller", _endpoint_slices),
    Row(
        "replicationcontroller-controller",
        "replicationcontroller",
        "replication-controller",
        _replication_controllers,
    ),
    Row("pod-garbage-collector-controller", "podgc", "pod-garbage-collector", _pod_gc),
    Row("namespace-controller", "namespace", "namespace-controller", _namespaces),
    Row("serviceaccount-controller", "serviceaccount", "service-account-controller", _service_accounts),
    Row("deployment-controller", "deployment", "deployment-controller", _deployments),
    Row("replicaset-controller", "replicaset", "replicaset-controller", _replica_sets),
    Row("statefulset-controller", "statefulset", "statefulset-controller", _stateful_sets),
    Row("daemonset-controller", "daemonset", "daemon-set-controller", _daemon_sets),
    Row("job-controller", "job", "job-controller", _jobs),
    Row("cronjob-controller", "cronjob", "cronjob-controller", _cron_jobs),
    Row(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring",
        "endpointslicemirroring-controller",
        _mirroring,
    ),
    Row("resourcequota-controller", "resourcequota", "resourcequota-controller", _quotas),
    Row(
        "horizontal-pod-autoscaler-controller",
        "horizontalpodautoscaling",
        "horizontal-pod-autoscaler",
        _autoscalers,
    ),
    Row("disruption-controller", "disruption", "disruption-controller", _disruption),
    Row("certificatesigningrequest-signing-controller", "csrsigning", "certificate-controller", _csr_signer),
    Row(
        "certificatesigningrequest-approving-controller",
        "csrapproving",
        "certificate-controller",
        _csr_approver,
    ),
    Row("certificatesigningrequest-cleaner-controller", "csrcleaner", "certificate-controller", _csr_cleaner),
    Row("ttl-controller", "ttl", "ttl-controller", _node_ttl),
    Row("bootstrap-signer-controller", "bootstrapsigner", "bootstrap-signer", _bootstrap_signer, False),
    Row("token-cleaner-controller", "tokencleaner", "token-cleaner", _token_cleaner, False),
    Row("persistentvolume-binder-controller", "persistentvolume-binder", "persistent-volume-binder", _binder),
    Row(
        "persistentvolume-attach-detach-controller", "attachdetach", "attachdetach-controller", _attach_detach
    ),
    Row("persistentvolume-expander-controller", "persistentvolume-expander", "expand-controller", _expander),
    Row(
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation",
        "clusterrole-aggregation-controller",
        _cluster_role_aggregation,
    ),
    Row(
        "persistentvolumeclaim-protection-controller",
        "pvc-protection",
        "pvc-protection-controller",
        _claim_protection,
    ),
    Row(
        "persistentvolume-protection-controller",
        "pv-protection",
        "pv-protection-controller",
        _volume_protection,
    ),
    Row(
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        _attributes_class_protection,
    ),
    Row(
        "ttl-after-finished-controller",
        "ttl-after-finished",
        "ttl-after-finished-controller",
        _ttl_after_finished,
    ),
    Row("ephemeral-volume-controller", "ephemeral-volume", "ephemeral-volume-controller", _ephemeral_volumes),
    Row(
        "resourceclaim-controller", "resource-claim-controller", "resource-claim-controller", _resource_claims
    ),
    Row(
        "legacy-serviceaccount-token-cleaner-controller",
        "legacy-service-account-token-cleaner",
        "legacy-service-account-token-cleaner",
        _legacy_tokens,
    ),
    Row(
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        _policy_status,
    ),
    Row("service-cidr-controller", "service-cidr-controller", "service-cidrs-controller", _service_cidrs),
    Row("node-ipam-controller", "nodeipam", "node-controller", _node_ipam),
    Row("node-lifecycle-controller", "nodelifecycle", "node-controller", _node_lifecycle),
    Row("taint-eviction-controller", "taint-eviction", "node-controller", _taint_eviction),
    Row(
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        "root-ca-cert-publisher",
        _root_ca,
    ),
    Row(
        "garbage-collector-controller", "garbagecollector", "generic-garbage-collector", _garbage_collector
    ),  # last: what others follow anyway, it shares
)


ELSEWHERE = frozenset(
    {
        "service-lb-controller",
        "node-route-controller",
        "cloud-node-lifecycle-controller",
        "storageversion-garbage-collector-controller",
        "storage-version-migrator-controller",
        "device-taint-eviction-controller",
        "selinux-warning-controller",
        "podcertificaterequest-cleaner-controller",
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    }
)
"""Upstream's controllers that live in the cloud controller manager or do not exist here; naming them is no error."""


class UnknownController(ValueError):
    """`--controllers` names something that is not in the table."""


def chosen(wanted: Sequence[str]) -> list[Row]:
    """The rows that `--controllers` asks for. Raises UnknownController."""
    canonical = {row.alias: row.name for row in CONTROLLERS} | {row.name: row.name for row in CONTROLLERS}
    named: set[str] = set()
    refused: set[str] = set()
    all_defaults = False
    for text in wanted:
        if text == "*":
            all_defaults = True
            continue
        name = text.removeprefix("-")
        if name in ELSEWHERE:
            continue
        if name not in canonical:
            raise UnknownController(f'"{name}" is not in the list of known controllers')
        (refused if text.startswith("-") else named).add(canonical[name])
    return [
        row
        for row in CONTROLLERS
        if row.name not in refused and (row.name in named or (all_defaults and row.on_by_default))
    ]
