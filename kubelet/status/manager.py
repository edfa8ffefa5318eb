"""Sends statuses to the API server: changes only, the newest only, and the final deletion of a pod that has ended."""

from __future__ import annotations

from collections.abc import Callable

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, copy, is_deleting, name_of, namespace_of, status_of, uid_of
from kubarium.client.rest import Client
from kubarium.client.work_queue import WorkQueue
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet import metrics
from kubelet.status import startup
from kubelet.status.conditions import OWN_CONDITIONS

log = logging.get(__name__)

SENDERS = 4
TERMINAL = (pod_status.SUCCEEDED, pod_status.FAILED)
ENDING = ("phase", "reason", "message")  # what says that and why a pod has ended
TOLD_CONDITIONS = (*OWN_CONDITIONS, pod_status.DISRUPTION_TARGET)  # others may set the last one, too
RECONCILE_PERIOD = 10.0  # seconds between looks at statuses that somebody else has changed


class StatusManager:
    """The kubelet's own knowledge of each pod's status. Statuses are set by the pods' workers."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        newest: Callable[[str], Object | None],
        may_delete: Callable[[Object], bool],
        may_run: Callable[[str], bool] = lambda uid: False,
        pulling: Callable[[str], float] = lambda uid: 0.0,
    ) -> None:
        self._client = client
        self._pods = client.resource("v1", "pods")
        self._clock = clock
        self._newest = newest  # uid -> the object as the API server has it (the mirror, for static pods)
        self._may_delete = may_delete
        self._may_run = may_run
        self._pulling = pulling  # seconds that a pod waited for images
        self._changed: dict[str, float] = {}  # when a status changed first that was not told yet
        self._statuses: dict[str, Object] = {}
        self._sent: dict[str, Object] = {}
        self._deleted: dict[str, str] = {}  # to the uid of the object: the API server need not be asked twice
        self._queue: WorkQueue[str] = WorkQueue(clock)

    def get(self, uid: str) -> Object | None:
        """The last status set for a pod."""
        return self._statuses.get(uid)

    def with_status(self, pod: Object) -> Object:
        """The pod with the status that this kubelet knows, which may be newer than the API server's.

        What others say of the pod, readiness gates among it, only the API server knows.
        """
        known = self._statuses.get(uid_of(pod))
        if known is None:
            return pod
        own = [one for one in known.get("conditions") or [] if one["type"] in TOLD_CONDITIONS]
        told = {*OWN_CONDITIONS, *(one["type"] for one in own)}
        others = [one for one in status_of(pod).get("conditions") or [] if one["type"] not in told]
        return {**pod, "status": {**known, "conditions": [*others, *own]}}

    def set(self, pod: Object, status: Object) -> None:
        """This is the pod's status now."""
        uid = uid_of(pod)
        known = self._statuses.get(uid) or {}
        if known.get("phase") in TERMINAL and status.get("phase") not in TERMINAL:
            return  # a pass that began before the pod was given up
        if known == status:
            if is_deleting(pod):
                self._queue.add(uid)
            return
        self._statuses[uid] = status
        self._changed.setdefault(uid, self._clock.monotonic())
        self._queue.add(uid)

    def look_again(self, uid: str) -> None:
        """Something that decides about the pod's deletion has changed."""
        if uid in self._statuses:
            self._queue.add(uid)

    def send_again(self, uid: str) -> None:
        """The object that shows the pod is another one now."""
        self._sent.pop(uid, None)
        self.look_again(uid)

    def forget(self, uid: str) -> None:
        """The pod is gone from the API server."""
        for table in (self._statuses, self._sent, self._changed, self._deleted):
            table.pop(uid, None)

    def is_told(self, uid: str) -> bool:
        """Does the API server know the last status? Nobody has to be told of a pod that is not there any more."""
        known = self._statuses.get(uid)
        return known is None or self._sent.get(uid) == known or self._newest(uid) is None

    def known(self) -> list[str]:
        """Uids of all pods with a status."""
        return list(self._statuses)

    async def run(self) -> None:
        """Send one status after another; run several of these side by side."""
        while True:
            uid = await self._queue.get()
            try:
                await self._send(uid)
                self._queue.forget(uid)
            except (errors.StatusError, OSError, TimeoutError) as error:
                log.info("status of pod %s not sent: %s", uid, error)
                self._queue.add_after(uid, 1.0)
            except Exception:
                log.exception("status of pod %s not sent", uid)
                self._queue.add_after(uid, 10.0)
            finally:
                self._queue.done(uid)

    async def reconcile(self) -> None:
        """From time to time put right what somebody else has changed."""
        while True:
            await self._clock.sleep(RECONCILE_PERIOD)
            for uid, status in list(self._statuses.items()):
                pod = self._newest(uid)
                if pod is not None and _changes(status_of(pod), self._told(pod, status)):
                    self._sent.pop(uid, None)
                    self._queue.add(uid)

    async def _send(self, uid: str) -> None:
        known, pod = self._statuses.get(uid), self._newest(uid)
        if known is None or pod is None:
            return
        status = self._told(pod, known)
        if self._sent.get(uid) != status:
            patch = _changes(status_of(pod), status)
            if patch:
                body = {"metadata": {"uid": uid_of(pod)}, "status": patch}
                before, changed = pod, self._changed.pop(uid, None)
                try:
                    pod = await self._pods.patch(
                        name_of(pod), body, namespace_of(pod), type="strategic", subresource="status"
                    )
                except (errors.NotFound, errors.Conflict) as error:
                    # Gone, or another pod of that name: the deletion will arrive by watch.
                    log.debug("status of %s not sent: %s", logging.name(pod), error)
                    return
                log.debug("status of %s: %s", logging.name(pod), status.get("phase"))
                if changed is not None:
                    metrics.STATUS_SECONDS.observe((), self._clock.monotonic() - changed)
                startup.observe(before, status, self._clock.now(), self._pulling(uid))
            self._sent[uid] = copy(status)
        all_is_told = status is known and self._statuses.get(uid) is known
        is_asked = self._deleted.get(uid) == uid_of(pod)
        if all_is_told and is_deleting(pod) and not is_asked and self._may_delete(pod):
            await self._delete(pod)
            self._deleted[uid] = uid_of(pod)

    def _told(self, pod: Object, status: Object) -> Object:
        """The status as others may know it: no pod has ended while something of it still runs."""
        shown = status_of(pod)
        if status.get("phase") not in TERMINAL or shown.get("phase") in TERMINAL:
            return status
        if not self._may_run(uid_of(pod)):
            return status
        kept = {key: shown[key] for key in ENDING if shown.get(key)}
        return {**{key: value for key, value in status.items() if key not in ENDING}, **kept}

    async def _delete(self, pod: Object) -> None:
        try:
            await self._pods.delete(
                name_of(pod), namespace_of(pod), grace_period_seconds=0, preconditions={"uid": uid_of(pod)}
            )
            log.info("pod %s deleted", logging.name(pod))
        except (errors.NotFound, errors.Conflict):
            return


def _changes(old: Object, new: Object) -> Object:
    """A strategic merge patch from what the API server has to what is true; empty when there is no difference."""
    patch: Object = {
        key: value for key, value in new.items() if key != "conditions" and not _same(old.get(key), value)
    }
    for key in old:
        if key not in new and key not in (
            "conditions",
            "resourceClaimStatuses",
            "nominatedNodeName",
            "resize",
        ):
            patch[key] = None
    for key in ("podIPs", "hostIPs"):
        if patch.get(key) and old.get(key):
            patch[key] = [{"$patch": "replace"}, *patch[key]]
    known = {condition["type"]: condition for condition in old.get("conditions") or []}
    changed = [
        condition
        for condition in new.get("conditions") or []
        if condition["type"] in TOLD_CONDITIONS
        if not _same(known.get(condition["type"]), condition)
    ]
    if changed:
        patch["conditions"] = [
            {**{key: None for key in known.get(condition["type"], {}) if key not in condition}, **condition}
            for condition in changed
        ]
    own = {condition["type"] for condition in new.get("conditions") or []}
    gone = [kind for kind in known if kind in OWN_CONDITIONS and kind not in own]
    if gone:
        patch["conditions"] = patch.get("conditions", []) + [
            {"type": kind, "$patch": "delete"} for kind in gone
        ]
    return patch


def _same(old: object, new: object) -> bool:
    return _bare(old) == _bare(new)


def _bare(value: object) -> object:
    """Absent, null and empty mean the same on the wire."""
    if isinstance(value, dict):
        return {key: bare for key, one in value.items() if (bare := _bare(one)) not in (None, {}, [], "")}
    if isinstance(value, list):
        return [_bare(one) for one in value]
    return value
