"""Builds all parts of one kubelet and names each of its tasks. The only file that knows all parts."""

from __future__ import annotations

from pathlib import Path

from kubarium.api.core import taints
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery.object import Object, status_of, uid_of
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import health as health_checks
from kubarium.component_base.clock import Clock
from kubarium.component_base.process import Process
from kubarium.component_base.status_pages import StatusPages
from kubelet import configuration, metrics, preparation
from kubelet.devices.devices import Devices
from kubelet.events import ContainerChanged, Event, Finished, ProbeChanged
from kubelet.guardians import Guardians
from kubelet.images import keyring
from kubelet.images.pull import ImagePuller, Throttle, no_logins
from kubelet.images.records import PullRecords
from kubelet.network.dns import ClusterDNS
from kubelet.node import facts
from kubelet.node.health import HealthCheck
from kubelet.node.lease import LeaseKeeper
from kubelet.node.registration import NodeReporter
from kubelet.node.shutdown import Announcer
from kubelet.options import Options
from kubelet.pleg import PLEG
from kubelet.plugins.watcher import PluginWatcher
from kubelet.pod_workers import PodWorkers
from kubelet.pods import source_api
from kubelet.pods.inputs import Inputs, log_directory
from kubelet.pods.leftovers import Leftovers
from kubelet.pods.manager import MirrorClient, PodManager
from kubelet.pods.merge import Merge
from kubelet.pods.runtime_classes import RuntimeClasses
from kubelet.pods.source_files import FileSource
from kubelet.pods.user_namespaces import UserNamespaces
from kubelet.probes.manager import ProbeManager
from kubelet.resources import limits, local_storage
from kubelet.resources.allocation import Allocations
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.stats import Stats
from kubelet.runtime.container import SeccompDefaults
from kubelet.runtime.interface import Runtime
from kubelet.runtime.manager import RuntimeManager
from kubelet.runtime.restart_backoff import RestartBackoff
from kubelet.server import log_files
from kubelet.server.app import LISTED, Server
from kubelet.server.listeners import Listeners
from kubelet.server.streaming import Streams
from kubelet.status.manager import SENDERS, StatusManager
from kubelet.sync_loop import SyncLoop
from kubelet.sync_pod import PodSyncer
from kubelet.volumes.csi.drivers import Drivers
from kubelet.volumes.host import Host
from kubelet.volumes.storage import Storage
from kubelet.volumes.watched_objects import TokenManager, WatchedObjects


def _backoff(longest: float) -> RestartBackoff:
    """Waits of containers that keep ending, as long as configured (crashLoopBackOff)."""
    return RestartBackoff(min(10.0, longest), longest) if longest else RestartBackoff()


class Kubelet:
    """All parts of one kubelet, built but not yet running. The outside doors are arguments."""

    def __init__(
        self,
        options: Options,
        client: Client,
        runtime: Runtime,
        clock: Clock,
        *,
        api_host: str = "",
        cgroups: Cgroups | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        self.options = options
        self.announcer = announcer
        self.client = client
        self.runtime = runtime
        self.clock = clock
        self.name = options.node_name
        self.root = Path(options.root_dir)
        self.recorder = EventRecorder(client, "kubelet", self.name, clock)
        self.informers = Informers(client, clock)
        self.facts = facts.gather(options, api_host)
        self.pods = PodManager()
        self.mirrors = MirrorClient(client, self.name)
        self.cgroups = cgroups or Cgroups(
            options.cgroup_root or "/", pod_pids=options.pod_max_pids, cfs_period=options.cfs_period
        )
        metrics.CGROUP_VERSION.set((), 2.0 if self.cgroups.is_v2 else 1.0)
        self._build_informers()
        self._build_runtime()
        self._build_spine()
        self._build_node()
        self._build_server()

    # -- construction, group by group ------------------------------------------------------------------------------

    def _build_informers(self) -> None:
        self.services = self.informers.informer("v1", "services")
        self.nodes = self.informers.informer("v1", "nodes", field_selector=f"metadata.name={self.name}")
        classes = self.informers.informer("node.k8s.io/v1", "runtimeclasses")
        self.runtime_classes = RuntimeClasses(classes.lister, lambda: self.reporter.runtime)
        self.csi_drivers = self.informers.informer("storage.k8s.io/v1", "csidrivers")
        self.objects = WatchedObjects(self.client, self.clock, self.options.sync_frequency / 2)
        self.tokens = TokenManager(self.client, self.clock)

    def _build_volumes(self) -> None:
        host = Host(
            objects=self.objects,
            tokens=self.tokens,
            drivers=self.csi_drivers,
            node=self._own_node,
            told_in_use=lambda names: self.reporter.told_in_use(names),
            in_use_changed=lambda: self.reporter.look_now(),
            allocatable=lambda: self.reporter.allocatable,
            host_ips=lambda: self.facts.ips,
        )
        self.storage = Storage(
            host,
            self.client,
            self.runtime,
            self.recorder,
            self.clock,
            self.root,
            self.name,
            self._pods_with_status,
        )
        self.volumes = self.storage.manager
        self.devices = Devices(
            self.root,
            self.clock,
            fetch=self.objects.fetch,
            changed=self._devices_changed,
            pods=self._pods_with_status,
            active=self._active,
            runtime_knows_cdi=lambda: self.reporter.runtime.knows_cdi,
        )
        handlers = {Drivers.kind: self.storage.drivers, **self.devices.handlers()}
        self.plugins = PluginWatcher(self.root / "plugins_registry", self.clock, handlers)

    def _build_runtime(self) -> None:
        self._build_volumes()
        self.puller = ImagePuller(
            self.runtime,
            self.recorder,
            self.clock,
            self.objects.fetch,
            serialize=self.options.serialize_image_pulls,
            parallel=self.options.max_parallel_image_pulls,
            records=PullRecords(
                self.root / "image_manager",
                self.options.image_pull_credentials_verification_policy,
                self.options.preloaded_images_verification_allowlist,
            ),
            throttle=Throttle(self.clock, self.options.registry_qps, self.options.registry_burst),
            node_logins=self._providers(),
            root=self.root,
        )
        inputs = Inputs(
            puller=self.puller,
            volumes=self.volumes,
            cgroups=self.cgroups,
            devices=self.devices,
            dns=ClusterDNS(self.options.cluster_dns, self.options.cluster_domain, self.options.resolv_conf),
            fetch=self.objects.fetch,
            services=self.services.lister.list,
            services_known=lambda: self.services.has_synced,
            runtime_handler=self.runtime_classes.handler,
            runtime=lambda: self.reporter.runtime,
            users=UserNamespaces(self.root / "pods", self.options.max_pods, lambda: self.reporter.runtime),
            host_ips=lambda: self.facts.ips,
            allocatable=lambda: self.reporter.allocatable,
            rules=self._rules(),
            logs=Path(self.options.pod_logs_dir),
        )
        self.probes = ProbeManager(
            self.runtime, self.recorder, self.clock, lambda uid: self._emit(ProbeChanged(uid))
        )
        self.manager = RuntimeManager(
            self.runtime,
            inputs,
            self.recorder,
            self.clock,
            seccomp=SeccompDefaults(str(self.root / "seccomp"), self.options.seccomp_default),
            on_kill=self.probes.killed,
            backoff=_backoff(self.options.max_container_restart_period),
        )

    def _rules(self) -> limits.Rules:
        machine, options = self.facts.machine, self.options
        swap = machine.swap if options.swap_behavior == "LimitedSwap" and self.cgroups.is_v2 else 0
        together = self.cgroups.is_v2 and not options.single_process_oom_kill
        return limits.Rules(machine.memory, options.cfs_period, swap, together)

    def _providers(self) -> keyring.NodeLogins:
        options = self.options
        if not options.image_credential_provider_config:
            return no_logins
        from kubelet.images import providers  # only now: few nodes have plugins

        return providers.Providers(
            providers.read(Path(options.image_credential_provider_config)),
            Path(options.image_credential_provider_bin_dir),
            self.clock,
            self.tokens.token,
            lambda namespace, name: self.objects.fetch("ServiceAccount", namespace, name),
        ).logins

    def _build_spine(self) -> None:
        self.pleg = PLEG(self.runtime, self.clock, lambda uid: self._emit(ContainerChanged(uid)))
        self.statuses = StatusManager(
            self.client,
            self.clock,
            newest=self.pods.newest,
            may_delete=lambda pod: self.workers.has_finished(pod["metadata"]["uid"]),
            may_run=lambda uid: self.workers.may_run(uid),
            pulling=self.puller.seconds_of,
        )
        self.allocations = Allocations(
            self.root / "allocated_pods_state",
            lambda: self.reporter.allocatable,
            lambda uid: [pod for pod in self._pods_with_status() if self._counts_beside(pod, uid)],
        )
        syncer = PodSyncer(
            runtime=self.manager,
            statuses=self.statuses,
            probes=self.probes,
            volumes=self.volumes,
            cgroups=self.cgroups,
            pods=self.pods,
            mirrors=self.mirrors,
            recorder=self.recorder,
            clock=self.clock,
            host_ips=lambda: self.facts.ips,
            network_complaint=lambda: self.health.last.network,
            runtime_name=lambda: self.reporter.runtime_name,
            allocations=self.allocations,
            limits=self.manager.inputs.limits,
            devices=self.devices,
            recursive_read_only=self.runtime_classes.mounts_recursively_read_only,
            on_resize=self._retry_resizes,
            seen=self.pleg.seen,
            runtime_knows=self.pleg.knows,
        )
        self.workers = PodWorkers(
            syncer, self.clock, lambda pod: self._emit(Finished(pod)), self.options.sync_frequency
        )
        metrics.watch(
            desired=self.pods.all,
            is_static=is_static,
            working=lambda: self.workers.working(lambda uid: self.pods.by_uid(uid) is not None),
            running=lambda: len(self.pleg.running_pods()),
            containers=self.pleg.containers_by_state,
            claims=self.storage.usage.claims,
            node=self.name,
        )
        self.leftovers = Leftovers(
            self.runtime,
            self.volumes,
            self.cgroups,
            self.devices,
            self.clock,
            logs=Path(self.options.pod_logs_dir),
            is_gone=self._is_gone,
            running=self.pleg.running_pods,
            may_look=lambda: self.pod_informer.has_synced and self.pleg.was_listed,
            forget=self._forget,
        )
        self.loop = SyncLoop(
            pods=self.pods,
            workers=self.workers,
            statuses=self.statuses,
            mirrors=self.mirrors,
            pleg=self.pleg,
            recorder=self.recorder,
            clock=self.clock,
            node=self._own_node,
            sources_ready=lambda: self.pod_informer.has_synced,
            collect=self.leftovers.add,
            refuses=lambda pod: self.guardians.refuse(pod),
            make_room=lambda pod, others, refusal: self.guardians.make_room(pod, others, refusal),
            allowed_sysctls=self.options.allowed_unsafe_sysctls,
            on_new=self.objects.invalidate,
            on_freed=self._retry_resizes,
        )
        self.merge = Merge(self._emit)
        self.pod_informer = source_api.connect(self.informers, self.name, self.merge)

    def _build_node(self) -> None:
        self.health = HealthCheck(
            self.runtime,
            self.clock,
            pleg=lambda: self.pleg.complaint() if self.pleg.was_listed else "",
            shutdown=lambda: self.guardians.shutdown.complaint(),
        )
        self.guardians = Guardians(
            self.options,
            self.facts,
            self.runtime,
            self.recorder,
            self.clock,
            announcer=self.announcer,
            cgroups=self.cgroups,
            volumes=self.volumes,
            leftovers=self.leftovers,
            workers=self.workers,
            statuses=self.statuses,
            pods=self._pods_with_status,
            node=lambda: self.reporter.reference,
            changed=lambda: self.reporter.look_now(),
            image_removed=self.puller.forget_image,
        )
        self.reporter = NodeReporter(
            self.client,
            self.facts,
            self.clock,
            labels=facts.labels(self.options, self.facts.machine),
            taints=[taints.of_text(text) for text in self.options.register_with_taints],
            provider_id=self.options.provider_id,
            look_period=self.options.node_status_update_frequency,
            report_period=self.options.report_frequency,
            max_images=self.options.node_status_max_images,
            register=self.options.register_node,
            runtime=self.runtime.version,
            images=lambda: self.guardians.images.images,
            health=self.health.look,
            recorder=self.recorder,
            pressure=self.guardians.eviction.pressure,
            volumes_in_use=self.storage.csi.in_use,
            devices=self.devices.plugins.amounts,
        )
        self.lease = LeaseKeeper(self.client, self.name, self.clock, self.options.node_lease_duration_seconds)

    def _build_server(self) -> None:
        self.checks = health_checks.Health()
        self.checks.add("syncloop", self.loop.turns, "healthz")
        self.stats = Stats(
            self.runtime,
            self.clock,
            node_name=self.name,
            root=self.options.root_dir,
            cgroup=self.options.cgroup_root or "/",
            pods=self._pods_with_status,
            volumes=self.storage.usage.of,
            storage=lambda pod: local_storage.measure(
                pod,
                self.volumes.pod_directory(uid_of(pod)),
                log_directory(Path(self.options.pod_logs_dir), pod),
            ),
            processes=self.cgroups.processes,
        )
        streams = Streams(
            self.runtime,
            self.pods,
            self.clock,
            Path(self.options.pod_logs_dir),
            with_status=self.statuses.with_status,
        )
        zpages = StatusPages("kubelet", self.options, self.clock, lambda: LISTED).pages()
        self.listeners = Listeners(
            self.options,
            self.client,
            self.facts,
            self.clock,
            pages=lambda door, debugging: Server(
                door=door,
                streams=streams,
                stats=self.stats,
                health=self.checks,
                pods=self._pods_with_status,
                running_pods=self._running_pods,
                configuration=lambda: configuration.as_configuration(self.options),
                cgroups=self.cgroups,
                machine=(self.facts.machine.cpus, self.facts.machine.memory),
                log_files=log_files.ROOT if self.options.enable_system_log_handler else None,
                debugging=debugging,
                status_pages=zpages,
            ),
            checks=self.checks,
        )

    # -- running ---------------------------------------------------------------------------------------------------

    def start(self, process: Process) -> None:
        """Prepare the machine and start every task."""
        preparation.prepare(self.options, self.root, self.cgroups)
        self.reporter.event("Normal", "Starting", "Starting kubelet.")
        process.start("events", self.recorder.run())
        self.listeners.start(process)
        process.start("informers", self.informers.run())
        process.start("node status", self.reporter.run())
        process.start("lease", self.lease.run())
        process.start("pleg", self.pleg.run())
        process.start("plugins", self.plugins.run())
        for name, work in {**self.storage.tasks(), **self.devices.tasks()}.items():
            process.start(name, work)
        process.start("runtime events", self.pleg.listen())
        for number in range(SENDERS):
            process.start(f"status sender {number}", self.statuses.run())
        process.start("status reconciler", self.statuses.reconcile())
        process.start("stats", self.stats.sample())
        self.guardians.start(process)
        process.start("garbage", self.leftovers.run())
        process.start("housekeeping", self.loop.tick())
        process.start("sync loop", self._run_loop())
        if self.options.pod_manifest_path:
            files = FileSource(
                self.options.pod_manifest_path,
                self.name,
                self.merge,
                self.recorder,
                self.clock,
                self.options.file_check_frequency,
            )
            process.start("static pods", files.run())

    async def close(self) -> None:
        """Stop what belongs to single pods; containers go on running."""
        await self.workers.close()
        await self.probes.close()
        await self.storage.drivers.close()
        await self.devices.close()

    async def _run_loop(self) -> None:
        # The first look at the runtime comes before the first pod. The API server is not waited for: static pods
        # must start without it, for it may be one of them.
        await self.pleg.ready()
        await self.loop.run()

    # -- small answers ---------------------------------------------------------------------------------------------

    def _emit(self, event: Event) -> None:
        self.loop.events.put_nowait(event)

    def _devices_changed(self) -> None:
        """The node has more or fewer of them; pods may have one that is ill now."""
        self.reporter.look_now()
        for uid in self.devices.pods():
            self._emit(ContainerChanged(uid))

    def _active(self) -> list[str] | None:
        """Pods that have not given back all that they have of the node."""
        if not self.pod_informer.has_synced:
            return None
        return [uid for uid in self.workers.uids() if not self.workers.has_finished(uid)]

    def _is_gone(self, uid: str) -> bool:
        return self.pods.by_uid(uid) is None and not self.workers.knows(uid)

    def _forget(self, uid: str) -> None:
        self.puller.forget(uid)
        self.tokens.forget(uid)

    def _counts_beside(self, pod: Object, uid: str) -> bool:
        """Does this pod take of what pod `uid` would like to have more of?"""
        other = pod["metadata"]["uid"]
        has_ended = self.workers.knows(other) and self.workers.has_finished(other)
        return other != uid and not has_ended and not pod_status.is_terminal(pod)

    def _retry_resizes(self) -> None:
        """Something became free: pods whose resize was deferred may get it."""
        for uid in self.allocations.retry():
            self.workers.wake(uid)

    def _own_node(self) -> Object:
        """This node as the API server has it, or as it will be registered."""
        node = self.nodes.lister.get("", self.name) or {
            "metadata": {"name": self.name, "labels": facts.labels(self.options, self.facts.machine)}
        }
        if status_of(node).get("allocatable"):
            return node
        return {**node, "status": {"allocatable": self.reporter.allocatable}}

    def _pods_with_status(self) -> list[Object]:
        return [self.statuses.with_status(pod) for pod in self.pods.all()]

    async def _running_pods(self) -> list[Object]:
        await self.pleg.relist()
        running = self.pleg.running_pods()
        return [pod for pod in self._pods_with_status() if pod["metadata"]["uid"] in running]
