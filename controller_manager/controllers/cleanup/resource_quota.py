"""ResourceQuota: recount what admission guessed.

Admission books what comes; this controller counts what is there, when a quota changes, when something that is counted
goes or stops counting, and every five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core import quota_usage
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    key_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.discovery import Discovery
from kubarium.client.informer import Informer, Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

Kind = tuple[str, str]  # group, plural

SETTLE_SECONDS = 0.5  # after something came, so that many are counted at once

_PLAIN = (
    "services",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
)


class ResourceQuotaController(Controller):
    """Writes `status.used` of every quota."""

    name = "resourcequota-controller"
    queue_name = "resourcequota_primary"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, *, workers: int = 5, period: float = 300.0
    ) -> None:
        self.workers, self.period = workers, period
        self.quotas = informers.informer("v1", "resourcequotas").lister
        self.resource = client.resource("v1", "resourcequotas")
        self.discovery = Discovery(client)
        self._counted: dict[Kind, Informer] = {}
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "resourcequotas", changed=_needs_a_count)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        quota = self.quotas.get(key)
        if quota is None:
            return None
        hard = spec_of(quota).get("hard") or {}
        used = dict.fromkeys(hard, "0")
        for kind in sorted(kinds_of(hard)):
            informer = await self._informer(kind)
            if informer is None:
                continue
            for obj in informer.lister.list(key.namespace):
                if quota_usage.in_scope(quota, *kind, obj):
                    add_usage(used, quota_usage.usage_of(*kind, obj))
        await self._write(quota, hard, used)
        return self.period

    async def _write(self, quota: Object, hard: Object, used: dict[str, str]) -> None:
        status = status_of(quota)
        if status.get("hard") == hard and _same(status.get("used") or {}, used):
            return
        changed = copy(quota)
        changed["status"] = {"hard": hard, "used": used}
        await self.resource.update_status(changed)

    async def _informer(self, kind: Kind) -> Informer | None:
        """The cache of a counted kind; the first quota that counts it lets us follow it."""
        found = self._counted.get(kind)
        if found is None:
            group, plural = kind
            served = await self.discovery.namespaced()
            place = next((one for one in served if (one.group, one.plural) == kind), None)
            if place is None or "watch" not in place.verbs:
                return None
            # A quota counts itself: it must be looked for where it was just seen.
            full = not group and plural in ("pods", "services", "persistentvolumeclaims", "resourcequotas")
            found = self.informers.informer(place.api_version, plural, metadata_only=not full)
            self._counted[kind] = found
            found.add_handler(on_add=self._came, on_update=self._changed, on_delete=self._gone)
        await found.synced()
        return found

    def _came(self, obj: Object, initial: bool) -> None:
        """Admission has booked it; but a count that was made before we saw it may have taken that back."""
        if not initial:
            for quota in self.quotas.list(namespace_of(obj)):
                self.queue.add_after(key_of(quota), SETTLE_SECONDS)

    def _gone(self, obj: Object) -> None:
        for quota in self.quotas.list(namespace_of(obj)):
            self.queue.add(key_of(quota))

    def _changed(self, old: Object, new: Object) -> None:
        if "containers" in spec_of(new):  # a pod counts until it has ended
            if _counted_view(old) != _counted_view(new):
                self._gone(new)
        elif "spec" in new and spec_of(old) != spec_of(new):
            self._gone(new)


def _counted_view(pod: Object) -> tuple[object, ...]:
    """What a change of a pod's count can come from: its end, a resize, its scope."""
    spec = spec_of(pod)
    sizes = [container.get("resources") for container in spec.get("containers") or []]
    return pod_status.is_terminal(pod), sizes, spec.get("resources"), spec.get("activeDeadlineSeconds")


def kinds_of(hard: Iterable[str]) -> set[Kind]:
    """Which kinds a quota counts, from the names of its limits."""
    found: set[Kind] = set()
    for name in hard:
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            found.add((group, plural))
        elif name.startswith("services."):
            found.add(("", "services"))
        elif name == "requests.storage" or name.endswith(("/requests.storage", "/persistentvolumeclaims")):
            found.add(("", "persistentvolumeclaims"))
        elif name in _PLAIN:
            found.add(("", name))
        else:
            found.add(("", "pods"))
    return found


def add_usage(used: dict[str, str], more: Iterable[tuple[str, str]] | dict[str, str]) -> None:
    """Add what an object uses to those names that are counted."""
    for name, amount in dict(more).items():
        if name in used:
            used[name] = quantity.add(used[name], amount)


def _same(one: dict[str, str], other: dict[str, str]) -> bool:
    return one.keys() == other.keys() and all(quantity.compare(one[n], other[n]) == 0 for n in one)


def _needs_a_count(old: Object, new: Object) -> bool:
    return bool(spec_of(old) != spec_of(new) or status_of(new).get("hard") != spec_of(new).get("hard"))
