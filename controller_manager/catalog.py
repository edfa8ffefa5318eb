"""The table: every controller, the account it acts as, and how it is built. Order in the table is order of start;
the garbage collector is last: what others follow anyway, it shares.

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
from controller_manager.controllers.nodes.device_taint_eviction import DeviceTaintEvictionController
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
from controller_manager.controllers.volumes.selinux_warning import SELinuxWarningController
from controller_manager.controllers.workloads.cron_job import CronJobController
from controller_manager.controllers.workloads.daemon_set.controller import DaemonSetController
from controller_manager.controllers.workloads.deployment.controller import DeploymentController
from controller_manager.controllers.workloads.disruption import DisruptionController
from controller_manager.controllers.workloads.horizontal_pod_autoscaler.controller import (
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

    Without an `account` it acts as the manager itself: it has to read what no other controller may. `alias` is the
    name that older versions had for it.
    """

    name: str
    account: str
    build: Callable[[Context], Runnable | None]
    alias: str = ""
    on_by_default: bool = True


def of(make: Callable[..., Runnable], events: str = "", **flags: str) -> Callable[[Context], Runnable]:
    """How most controllers are built: from the parts, a recorder of events if they tell any, and some flags.

    `events` is the component that its events name; `flags` says which option becomes which argument.
    """

    def build(c: Context) -> Runnable:
        recorders = [c.events(events)] if events else []
        options = {argument: getattr(c.options, option) for argument, option in flags.items()}
        return make(*c.parts(), *recorders, **options)

    return build


def _replication_controllers(c: Context) -> Runnable:
    return ReplicaSetController(
        *c.parts(),
        c.events("replication-controller"),
        kind=ReplicationControllers(),
        workers=c.options.concurrent_rc_syncs,
    )


def _garbage_collector(c: Context) -> Runnable | None:
    if not c.options.enable_garbage_collector:
        return None
    return of(GarbageCollector, "garbage-collector-controller", workers="concurrent_gc_syncs")(c)


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


def _csr_signer(c: Context) -> Runnable | None:
    files = c.options.signing_files()
    if not files:
        return None
    authorities = {signer: Authority.read(*pair) for signer, pair in files.items()}
    longest = timedelta(seconds=c.options.cluster_signing_duration)
    return certificate_signing.CertificateSigner(*c.parts(), authorities=authorities, longest=longest)


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


CONTROLLERS: Sequence[Row] = (
    Row("serviceaccount-token-controller", "", _token_secrets, "serviceaccount-token"),
    Row("endpoints-controller", "endpoint-controller",
        of(EndpointsController, "endpoint-controller", workers="concurrent_endpoint_syncs",
            batch_period="endpoint_updates_batch_period"), "endpoint"),
    Row("endpointslice-controller", "endpointslice-controller",
        of(EndpointSliceController, "endpoint-slice-controller",
            workers="concurrent_service_endpoint_syncs", max_endpoints="max_endpoints_per_slice",
            batch_period="endpointslice_updates_batch_period"), "endpointslice"),
    Row("replicationcontroller-controller", "replication-controller",
        _replication_controllers, "replicationcontroller"),
    Row("pod-garbage-collector-controller", "pod-garbage-collector",
        of(PodGC, terminated_pod_threshold="terminated_pod_gc_threshold"), "podgc"),
    Row("namespace-controller", "namespace-controller",
        of(NamespaceController, workers="concurrent_namespace_syncs"), "namespace"),
    Row("serviceaccount-controller", "service-account-controller",
        of(ServiceAccountController), "serviceaccount"),
    Row("deployment-controller", "deployment-controller",
        of(DeploymentController, "deployment-controller",
            workers="concurrent_deployment_syncs"), "deployment"),
    Row("replicaset-controller", "replicaset-controller",
        of(ReplicaSetController, "replicaset-controller",
            workers="concurrent_replicaset_syncs"), "replicaset"),
    Row("statefulset-controller", "statefulset-controller",
        of(StatefulSetController, "statefulset-controller",
            workers="concurrent_statefulset_syncs"), "statefulset"),
    Row("daemonset-controller", "daemon-set-controller",
        of(DaemonSetController, "daemonset-controller", workers="concurrent_daemonset_syncs"), "daemonset"),
    Row("job-controller", "job-controller",
        of(JobController, "job-controller", workers="concurrent_job_syncs"), "job"),
    Row("cronjob-controller", "cronjob-controller",
        of(CronJobController, "cronjob-controller", workers="concurrent_cron_job_syncs"), "cronjob"),
    Row("endpointslice-mirroring-controller", "endpointslicemirroring-controller",
        of(EndpointSliceMirroringController, "endpoint-slice-mirroring-controller",
            workers="mirroring_concurrent_service_endpoint_syncs",
            limit="mirroring_max_endpoints_per_subset",
            batch_period="mirroring_endpointslice_updates_batch_period"), "endpointslicemirroring"),
    Row("resourcequota-controller", "resourcequota-controller",
        of(ResourceQuotaController, workers="concurrent_resource_quota_syncs",
            period="resource_quota_sync_period"), "resourcequota"),
    Row("horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler",
        _autoscalers, "horizontalpodautoscaling"),
    Row("disruption-controller", "disruption-controller",
        of(DisruptionController, "controllermanager"), "disruption"),
    Row("certificatesigningrequest-signing-controller", "certificate-controller", _csr_signer, "csrsigning"),
    Row("certificatesigningrequest-approving-controller", "certificate-controller",
        of(certificate_signing.CertificateApprover), "csrapproving"),
    Row("certificatesigningrequest-cleaner-controller", "certificate-controller",
        of(certificate_signing.CertificateCleaner), "csrcleaner"),
    Row("ttl-controller", "ttl-controller", of(TTLController), "ttl"),
    Row("bootstrap-signer-controller", "bootstrap-signer",
        of(bootstrap_tokens.BootstrapSigner), "bootstrapsigner", on_by_default=False),
    Row("token-cleaner-controller", "token-cleaner",
        of(bootstrap_tokens.TokenCleaner), "tokencleaner", on_by_default=False),
    Row("persistentvolume-binder-controller", "persistent-volume-binder",
        of(PersistentVolumeBinder, "persistentvolume-controller",
            provisioning="enable_dynamic_provisioning", period="pvclaimbinder_sync_period"), "persistentvolume-binder"),
    Row("persistentvolume-attach-detach-controller", "attachdetach-controller",
        of(AttachDetachController, "attachdetach-controller",
            patient="disable_force_detach_on_timeout"), "attachdetach"),
    Row("selinux-warning-controller", "selinux-warning-controller",
        of(SELinuxWarningController, "selinux_warning"), on_by_default=False),
    Row("persistentvolume-expander-controller", "expand-controller",
        of(ExpandController, "volume_expand"), "persistentvolume-expander"),
    Row("clusterrole-aggregation-controller", "clusterrole-aggregation-controller",
        of(ClusterRoleAggregationController), "clusterrole-aggregation"),
    Row("persistentvolumeclaim-protection-controller", "pvc-protection-controller",
        of(protection.ClaimProtectionController), "pvc-protection"),
    Row("persistentvolume-protection-controller", "pv-protection-controller",
        of(protection.VolumeProtectionController), "pv-protection"),
    Row("volumeattributesclass-protection-controller", "volumeattributesclass-protection-controller",
        of(protection.AttributesClassProtectionController)),
    Row("ttl-after-finished-controller", "ttl-after-finished-controller",
        of(TTLAfterFinishedController, workers="concurrent_ttl_after_finished_syncs"), "ttl-after-finished"),
    Row("ephemeral-volume-controller", "ephemeral-volume-controller",
        of(EphemeralVolumeController, "ephemeral_volume",
            workers="concurrent_ephemeralvolume_syncs"), "ephemeral-volume"),
    Row("resourceclaim-controller", "resource-claim-controller",
        of(ResourceClaimController, "resource_claim",
            workers="concurrent_resource_claim_syncs"), "resource-claim-controller"),
    Row("device-taint-eviction-controller", "device-taint-eviction-controller",
        of(DeviceTaintEvictionController, "device-taint-eviction-controller",
            workers="concurrent_device_taint_eviction_syncs")),
    Row("legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner",
        of(service_account_token.LegacyTokenCleaner,
            period="legacy_service_account_token_clean_up_period"), "legacy-service-account-token-cleaner"),
    Row("validatingadmissionpolicy-status-controller", "validatingadmissionpolicy-status-controller",
        of(ValidatingAdmissionPolicyStatusController,
            workers="concurrent_validating_admission_policy_status_syncs")),
    Row("service-cidr-controller", "service-cidrs-controller", of(ServiceCIDRController)),
    Row("node-ipam-controller", "node-controller", _node_ipam, "nodeipam"),
    Row("node-lifecycle-controller", "node-controller", _node_lifecycle, "nodelifecycle"),
    Row("taint-eviction-controller", "node-controller",
        of(TaintEvictionController, "taint-eviction-controller")),
    Row("root-ca-certificate-publisher-controller", "root-ca-cert-publisher",
        _root_ca, "root-ca-cert-publisher"),
    Row("garbage-collector-controller", "generic-garbage-collector", _garbage_collector, "garbagecollector"),
)  # fmt: skip


ELSEWHERE = frozenset(
    {
        "service-lb-controller",
        "node-route-controller",
        "cloud-node-lifecycle-controller",
        "storageversion-garbage-collector-controller",
        "storage-version-migrator-controller",
        "podcertificaterequest-cleaner-controller",
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    }
)
"""Upstream's controllers that live in the cloud controller manager or that are off in v1.36 unless one asks for them.

Naming them is no error.
"""


class UnknownController(ValueError):
    """`--controllers` names something that is not in the table."""


def chosen(wanted: Sequence[str]) -> list[Row]:
    """The rows that `--controllers` asks for. Raises UnknownController."""
    canonical = {name: row.name for row in CONTROLLERS for name in (row.name, row.alias) if name}
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
