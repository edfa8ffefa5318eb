"""Which devices are taken: by claims that the informer shows, and by claims whose allocation is being written.

An allocation counts from the moment a pod's node is chosen. `newest` hides that the informer is a little behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubarium.api.resource.resource_claim import results_of
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, resource_version_of, uid_of
from scheduler.framework.devices.inventory import DeviceKey, PoolKey


class Ledger:
    """Allocations by claim, and per device what they take of it. `changed` hears of every device that is affected."""

    def __init__(self, changed: Callable[[DeviceKey], None]) -> None:
        self._changed = changed
        self._results: dict[str, list[Object]] = {}  # claim uid -> what it holds
        self._pending: set[str] = set()
        self._written: dict[str, Object] = {}  # claims as we wrote them, until the informer shows that
        self.holders: dict[DeviceKey, int] = {}
        self.consumed: dict[DeviceKey, dict[str, int]] = {}
        self.in_pool: dict[PoolKey, set[DeviceKey]] = {}

    def is_pending(self, uid: str) -> bool:
        """Is an allocation of this claim being written?"""
        return uid in self._pending

    def newest(self, claim: Object | None) -> Object | None:
        """The claim as we last wrote it, if the informer's is older."""
        written = None if claim is None else self._written.get(uid_of(claim))
        return claim if written is None else written

    def put(self, claim: Object) -> None:
        """The informer shows a claim."""
        uid = uid_of(claim)
        written = self._written.get(uid)
        if written is not None:
            if _revision(claim) < _revision(written):
                return
            del self._written[uid]
        if uid not in self._pending:
            self._hold(uid, results_of(claim))

    def remove(self, claim: Object) -> None:
        """The claim was deleted."""
        uid = uid_of(claim)
        self._written.pop(uid, None)
        self._pending.discard(uid)
        self._hold(uid, [])

    def reserve(self, uid: str, allocation: Object) -> None:
        """An allocation was decided on and will be written."""
        self._pending.add(uid)
        self._hold(uid, (allocation.get("devices") or {}).get("results") or [])

    def release(self, uid: str, shown: Object | None) -> None:
        """It will not be written after all; what counts is what the informer shows."""
        if uid in self._pending:
            self._pending.discard(uid)
            self._hold(uid, results_of(shown) if shown is not None else [])

    def wrote(self, claim: Object, shown: Object | None) -> None:
        """This was written; the informer will show it, or shows it already."""
        uid = uid_of(claim)
        self._pending.discard(uid)
        if shown is None or uid_of(shown) != uid or _revision(shown) < _revision(claim):
            self._written[uid] = shown = claim
        self._hold(uid, results_of(shown))

    def _hold(self, uid: str, results: list[Object]) -> None:
        before = self._results.pop(uid, [])
        if results:
            self._results[uid] = results
        if before != results:
            self._count(before, -1)
            self._count(results, 1)

    def _count(self, results: Iterable[Object], sign: int) -> None:
        for result in results:
            if result.get("adminAccess"):
                continue  # looking at a device takes nothing of it
            key = DeviceKey(result["driver"], result["pool"], result["device"])
            self._count_device(key, sign)
            if result.get("shareID"):
                amounts = self.consumed.setdefault(key, {})
                for name, text in (result.get("consumedCapacity") or {}).items():
                    amounts[name] = amounts.get(name, 0) + sign * quantity.parse(text).nano
            self._changed(key)

    def _count_device(self, key: DeviceKey, sign: int) -> None:
        holders = self.holders.get(key, 0) + sign
        taken = self.in_pool.setdefault(PoolKey(key.driver, key.pool), set())
        if holders:
            self.holders[key] = holders
            taken.add(key)
            return
        self.holders.pop(key, None)
        self.consumed.pop(key, None)
        taken.discard(key)
        if not taken:
            del self.in_pool[PoolKey(key.driver, key.pool)]


def _revision(claim: Object) -> int:
    return int(resource_version_of(claim) or 0)
