"""Builds the scheduler from its options: informers, cache, queue, profiles, the loop, and its own pages."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import orjson

from kubarium.apimachinery.object import Object, ObjectKey, spec_of
from kubarium.client import kubeconfig
from kubarium.client.event_series import SeriesRecorder
from kubarium.client.informer import Informers
from kubarium.client.leader_election import LeaderElector
from kubarium.client.rest import Client
from kubarium.client.secure_pages import SecurePages
from kubarium.component_base import logging, serving
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.process import Process
from scheduler import journal as journals
from scheduler import profiles as profile_table
from scheduler import resource_metrics
from scheduler.cache import Cache
from scheduler.configuration import Configuration
from scheduler.event_handlers import ANYTHING, EventHandlers, without_managed_fields
from scheduler.extender import Extender
from scheduler.framework import metrics
from scheduler.framework.devices.manager import Devices
from scheduler.framework.interface import EXTENDER, LIVING_PODS, Handle, Status
from scheduler.framework.nodes import Nodes
from scheduler.framework.nominator import Nominator
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.waiting_pods import WaitingPods
from scheduler.journal import Journal
from scheduler.options import Options, document_of, new_identity
from scheduler.queue import LONGEST_SLEEP, SchedulingQueue
from scheduler.schedule_one import Scheduler

log = logging.get(__name__)

EVENT_SENDERS = 4  # one waits for each answer, and could not keep up with the bindings


class SchedulerApp:
    """All parts of one scheduler, connected. `start` sets them going."""

    def __init__(
        self,
        client: Client,
        configuration: Configuration,
        clock: Clock,
        *,
        keep_journal: bool = True,
        longest_sleep: float = LONGEST_SLEEP,
    ) -> None:
        self.client, self.clock = client, clock
        self.nodes = Nodes()
        self.cache = Cache(self.nodes)
        # One transform for all: an informer is shared by those who ask for it in the same words.
        self.informers = Informers(client, clock, without_managed_fields)
        self.recorders: dict[str, SeriesRecorder] = {
            profile.scheduler_name: SeriesRecorder(client, profile.scheduler_name, clock)
            for profile in configuration.profiles
        }
        handle = Handle(
            client=client,
            informers=self.informers,
            clock=clock,
            nodes=self.nodes,
            nominator=Nominator(),
            waiting=WaitingPods(),
            devices=Devices(self.informers, self.nodes),
            record=self._record,
            spawn=lambda work: self.scheduler.spawn(work),
            activate=lambda uid: self.queue.activate(uid),
        )
        self.extenders = [Extender(settings) for settings in configuration.extenders]
        handle.extenders.extend(self.extenders)
        self.profiles = profile_table.build(configuration, handle)
        first = next(iter(self.profiles.values()))
        hints = profile_table.event_hints(self.profiles.values())
        if self.extenders:
            hints[EXTENDER] = ANYTHING  # who knows what made it refuse
        self.queue = SchedulingQueue(
            clock,
            handle.nominator,
            sort_key=first.queue_sort_plugins[0].sort_key,
            pre_enqueue=self._pre_enqueue,
            hints=hints,
            backoff=Backoff(initial=configuration.initial_backoff, maximum=configuration.maximum_backoff),
            longest_sleep=longest_sleep,
        )
        handlers = EventHandlers(self.cache, self.queue, self.nodes.counts, self.profiles)
        handlers.register(self.informers)
        self.pods = self.informers.informer("v1", "pods", field_selector=LIVING_PODS)
        self.journal = Journal(self.nodes, clock) if keep_journal else None
        self.scheduler = Scheduler(
            client=client,
            clock=clock,
            cache=self.cache,
            queue=self.queue,
            profiles=self.profiles,
            extenders=self.extenders,
            pods=self.pods,
            journal=self.journal,
            bindings=configuration.parallelism,
        )
        metrics.evaluations.frameworks = list(self.profiles.values())
        metrics.cache_size.labels("nodes").set_function(lambda: self.nodes.count)
        metrics.cache_size.labels("pods").set_function(lambda: self.cache.pod_count)
        metrics.cache_size.labels("assumed_pods").set_function(lambda: self.cache.assumed_count)

    def start(self, process: Process) -> None:
        """Follow the cluster and send events; scheduling itself starts with `lead`."""
        process.start("informers", self.informers.run())
        for name, recorder in self.recorders.items():
            for number in range(EVENT_SENDERS):
                process.start(f"events {name} {number}", recorder.run())
            process.start(f"event series {name}", recorder.tidy())
        process.start("queue", self.queue.run())

    async def lead(self) -> None:
        """Schedule, once the first picture of the cluster is complete."""
        await self.informers.synced()
        calm_collector()
        log.info("scheduling with profiles %s", ", ".join(self.profiles))
        await self.scheduler.run()

    async def close(self) -> None:
        """Close connections."""
        for extender in self.extenders:
            await extender.close()

    def _record(
        self, pod: Object, type: str, reason: str, action: str, note: str, preemptor: Object | None = None
    ) -> None:
        name = spec_of(preemptor or pod).get("schedulerName") or "default-scheduler"
        recorder = self.recorders.get(name) or next(iter(self.recorders.values()))
        recorder.event(pod, type, reason, action, note, preemptor)

    def _pre_enqueue(self, pod: PodInfo) -> Status | None:
        framework = self.profiles.get(pod.scheduler_name)
        return None if framework is None else framework.pre_enqueue(pod)


def calm_collector() -> None:
    """Let the garbage collector leave the picture of the cluster alone: it is large and hardly any of it garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def run(
    process: Process,
    options: Options,
    configuration: Configuration,
    *,
    client: Client | None = None,
    clock: Clock | None = None,
) -> None:
    """The whole program: serve pages, compete for the lease, schedule while it is ours."""
    clock = clock or RealClock()
    client = client or Client(
        kubeconfig.of_program(options.kubeconfig, options.master), user_agent="kube-scheduler"
    )
    async with client:
        app = SchedulerApp(
            client,
            configuration,
            clock,
            keep_journal=options.journal,
            longest_sleep=options.pod_max_in_unschedulable_pods_duration,
        )
        app.start(process)
        process.start("scheduling", _lead(options, client, clock, app.lead))
        if options.secure_port:
            process.start("pages", _pages(options, configuration, app).serve())
        await process.stopped()
        await process.close()
        await app.close()


async def _lead(options: Options, client: Client, clock: Clock, lead: Callable[[], Awaitable[None]]) -> None:
    if not options.leader_elect:
        await lead()
        return
    elector = LeaderElector(
        client,
        options.leader_elect_resource_name,
        new_identity(),
        clock,
        namespace=options.leader_elect_resource_namespace,
        lease_duration=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry_period=options.leader_elect_retry_period,
    )
    await elector.run(lead)


def _pages(options: Options, configuration: Configuration, app: SchedulerApp) -> SecurePages:
    pages = SecurePages("kube-scheduler", options, app.clock)

    async def informers_synced() -> None:
        if not app.informers.has_synced:
            raise RuntimeError("informers not synced")

    pages.health.add("informer-sync", informers_synced, "readyz")
    pages.show_configuration("kubescheduler.config.k8s.io", lambda: document_of(options, configuration))
    pages.add("/metrics/resources", resource_metrics.page_of(app.pods.lister.list))
    pages.add("/debug/decisions", app_decisions(app))
    pages.add("/debug/decisions/", app_decisions(app))
    return pages


def app_decisions(app: SchedulerApp) -> serving.Page:
    """`/debug/decisions` lists pods, `/debug/decisions/NAMESPACE/POD` tells why one is where it is."""

    async def page(scope: serving.Scope) -> tuple[int, str, bytes]:
        if app.journal is None:
            return 404, "text/plain; charset=utf-8", b"the journal is off\n"
        parts = scope["path"].rstrip("/").split("/")[3:]
        if len(parts) != 2:
            body: Object = {"pods": [str(key) for key in app.journal.pods()]}
            return 200, "application/json", orjson.dumps(body)
        attempts = app.journal.attempts(ObjectKey(parts[0], parts[1]))
        if not attempts:
            return 404, "text/plain; charset=utf-8", b"no decision about this pod is kept\n"
        shown = {"decisions": [journals.show(decision) for decision in attempts]}
        return 200, "application/json", orjson.dumps(shown)

    return page
