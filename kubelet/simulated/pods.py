"""Lets the pods of all simulated nodes live: pod events and passing time in, statuses out.

One task takes uids from one queue; a turn is pure computation, so that turns never overlap and need no locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, is_deleting, spec_of, status_of, uid_of
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informer, Informers
from kubarium.client.rest import Client
from kubarium.client.work_queue import WorkQueue
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.runtime.interface import StartError
from kubelet.simulated import life as lives
from kubelet.simulated.addresses import Addresses
from kubelet.simulated.behaviour import Registry, behaviour_of
from kubelet.simulated.life import Life
from kubelet.simulated.usage import Usage
from kubelet.status import generate
from kubelet.status.conditions import OWN_CONDITIONS
from kubelet.status.manager import StatusManager
from kubelet.status.seen import Seen

log = logging.get(__name__)

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class Pods:
    """All pods that are bound to our nodes."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        addresses_of: Callable[[str], Addresses | None],
        host_ip: str,
        recorder: EventRecorder,
        registry: Registry,
        job_duration: float,
    ) -> None:
        self._clock = clock
        self._addresses_of = (
            addresses_of  # node name -> its pods' addresses; None for a node that is not ours
        )
        self._host_ips = (host_ip,)
        self._recorder = recorder
        self._registry = registry
        self._job_duration = job_duration
        self._pods: dict[str, Object] = {}
        self._lives: dict[str, Life] = {}
        self._by_node: dict[str, set[str]] = {}
        self._usage = Usage()
        self._queue: WorkQueue[str] = WorkQueue(clock)
        self.statuses = StatusManager(client, clock, newest=self._pods.get, may_delete=self._may_delete)

    def connect(self, informers: Informers) -> Informer:
        """One watch for the pods of all nodes; what is not bound yet is of no interest."""
        informer = informers.informer("v1", "pods", field_selector="spec.nodeName!=", transform=self._trimmed)
        informer.add_handler(
            on_add=lambda pod, initial: self._put(pod),
            on_update=self._changed,
            on_delete=self._remove,
        )
        return informer

    async def run(self) -> None:
        """One turn after another."""
        while True:
            uid = await self._queue.get()
            try:
                again = self._turn(uid)
                if again is not None:
                    self._queue.add_after(uid, again)
            except Exception:  # the edge of this loop: one odd pod must not stop all the others
                log.exception("pod %s is left as it is", uid)
            finally:
                self._queue.done(uid)

    def find(self, namespace: str, name: str) -> Object | None:
        """A pod of one of our nodes, by name."""
        for pod in self._pods.values():
            if pod["metadata"]["name"] == name and pod["metadata"]["namespace"] == namespace:
                return pod
        return None

    def metrics(self, node: str) -> str:
        """What a node's `/metrics/resource` says."""
        pods = [self._pods[uid] for uid in self._by_node.get(node, ())]
        return self._usage.page(node, pods, self._clock.now().timestamp())

    def __len__(self) -> int:
        return len(self._pods)

    # -- events ----------------------------------------------------------------------------------------------------

    def _trimmed(self, pod: Object) -> Object:
        """Thousands of pods are kept: without what nobody here reads."""
        metadata = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
        if self._addresses_of(spec_of(pod)["nodeName"]) is None:
            kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
            return {"metadata": kept, "spec": {"nodeName": spec_of(pod)["nodeName"]}}
        spec = {key: value for key, value in spec_of(pod).items() if key not in ("volumes", "tolerations")}
        return {**pod, "metadata": metadata, "spec": spec}

    def _put(self, pod: Object) -> None:
        if self._addresses_of(spec_of(pod)["nodeName"]) is None:
            return
        self._pods[uid_of(pod)] = pod
        self._by_node.setdefault(spec_of(pod)["nodeName"], set()).add(uid_of(pod))
        self._queue.add(uid_of(pod))

    def _changed(self, old: Object, pod: Object) -> None:
        if _concerns_us(old, pod):
            self._put(pod)
        elif uid_of(pod) in self._pods:
            self._pods[uid_of(pod)] = pod
            if pod_status.is_ready(old) and not pod_status.is_ready(pod):
                # Whoever took the node for dead may have said so; if it was us, there is nothing to send.
                self.statuses.send_again(uid_of(pod))

    def _remove(self, pod: Object) -> None:
        uid = uid_of(pod)
        if self._pods.pop(uid, None) is None:
            return
        self.statuses.forget(uid)
        self._by_node[spec_of(pod)["nodeName"]].discard(uid)
        self._usage.forget(pod, spec_of(pod)["nodeName"])
        life = self._lives.pop(uid, None)
        addresses = self._addresses_of(spec_of(pod)["nodeName"])
        if life is not None and addresses is not None:
            addresses.give_back(life.ips)

    # -- a turn ----------------------------------------------------------------------------------------------------

    def _turn(self, uid: str) -> float | None:
        """Let a pod live up to now; seconds until it wants to be looked at again."""
        pod = self._pods.get(uid)
        if pod is None:
            return None
        now = self._clock.now().timestamp()
        life = self._lives.get(uid)
        if life is None:
            life = self._lives[uid] = self._begin(pod, now)
        pod = self._with_status(pod)
        behaviour = behaviour_of(pod, self._job_duration)
        if is_deleting(pod) or pod_status.is_terminal(pod):
            grace = pod["metadata"].get("deletionGracePeriodSeconds") if is_deleting(pod) else 0
            again = life.stop(pod, behaviour, float(grace or 0), now)
            self._report(pod, life, terminating=True, now=now)
            return again
        if (left := self._until_deadline(pod, now)) is not None and left <= 0:
            self._give_up(pod, life, now)
            return None
        before = dict(life.reasons)
        again = life.advance(pod, behaviour, self._registry, now)
        self._tell(pod, before, life.reasons)
        until_ready = self._report(pod, life, terminating=False, now=now)
        if pod_status.is_terminal(self.statuses.with_status(pod)):
            return 0.001  # what still runs beside it, and its network, end with the next turn
        return min((wait for wait in (again, until_ready, left) if wait is not None), default=None)

    def _with_status(self, pod: Object) -> Object:
        """The pod with our newest status, and with the conditions that others have set meanwhile (readiness gates)."""
        known = self.statuses.get(uid_of(pod))
        if known is None:
            return pod
        own = [one for one in known["conditions"] if one["type"] in OWN_CONDITIONS]
        others = status_of(pod).get("conditions") or []
        foreign = [one for one in others if one["type"] not in OWN_CONDITIONS]
        return {**pod, "status": {**known, "conditions": own + foreign}}

    def _begin(self, pod: Object, now: float) -> Life:
        addresses = self._addresses_of(spec_of(pod)["nodeName"])
        assert addresses is not None
        known = status_of(pod).get("podIP")
        if spec_of(pod).get("hostNetwork"):
            ips: tuple[str, ...] = ()
        elif known and not pod_status.is_terminal(pod):
            ips = addresses.keep(known)
        else:
            ips = addresses.take()
        return lives.restored(pod, ips, now)

    def _report(self, pod: Object, life: Life, terminating: bool, now: float) -> float | None:
        ready, again = life.readiness(pod, now)
        seen = Seen(
            state=life.state,
            reasons=life.reasons,
            readiness=ready,
            startup=ready,
            host_ips=self._host_ips,
            runtime_name=lives.RUNTIME_NAME,
            terminating=terminating,
        )
        self.statuses.set(pod, generate.generate(pod, seen, self._clock.now()))
        return again

    def _tell(self, pod: Object, before: Mapping[str, StartError], now: Mapping[str, StartError]) -> None:
        """Events of what goes wrong only: what goes well would be three more writes for each pod."""
        for name, error in now.items():
            container = pod_containers.find(pod, name)
            if container is None or (name in before and before[name].reason == error.reason):
                continue
            path = pod_containers.field_path_of(pod, container)
            if error.reason == "ErrImagePull":
                text = f'Failed to pull image "{container.get("image")}": {error.message}'
                self._recorder.event(pod, "Warning", "Failed", text, field_path=path)
                self._recorder.event(pod, "Warning", "Failed", "Error: ErrImagePull", field_path=path)
            else:
                type = "Normal" if error.reason == "ImagePullBackOff" else "Warning"
                reason = "ErrImageNeverPull" if error.reason == "ErrImageNeverPull" else "BackOff"
                self._recorder.event(pod, type, reason, error.message, field_path=path)

    def _until_deadline(self, pod: Object, now: float) -> float | None:
        seconds, started = spec_of(pod).get("activeDeadlineSeconds"), status_of(pod).get("startTime")
        if seconds is None:
            return None
        return float(seconds) - (now - time.parse_time(started).timestamp() if started else 0.0)

    def _give_up(self, pod: Object, life: Life, now: float) -> None:
        life.stop(pod, behaviour_of(pod), 0.0, now)
        moment = self._clock.now()
        seen = Seen(state=life.state, host_ips=self._host_ips, runtime_name=lives.RUNTIME_NAME)
        status = generate.generate(pod, seen, moment)
        failed = generate.failed({**pod, "status": status}, "DeadlineExceeded", DEADLINE_MESSAGE, moment)
        self.statuses.set(pod, failed)

    def _may_delete(self, pod: Object) -> bool:
        life = self._lives.get(uid_of(pod))
        return life is not None and life.asked_at is not None and life.has_ended


def _concerns_us(old: Object, new: Object) -> bool:
    """Is it more than the echo of a status that we have sent?

    Every change of a pod's spec raises its generation.
    """

    def marks(pod: Object) -> tuple[object, ...]:
        metadata = pod["metadata"]
        foreign = [one for one in status_of(pod).get("conditions") or [] if one["type"] not in OWN_CONDITIONS]
        names = ("uid", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "annotations")
        return (*(metadata.get(name) for name in names), foreign)

    return marks(old) != marks(new)
