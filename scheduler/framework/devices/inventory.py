"""Which devices there are, and from which nodes they can be reached.

Drivers publish a pool in slices. Only the slices of a pool's newest generation count; until all of them are there the
pool is incomplete, and nothing is allocated from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import orjson

from kubarium.api.resource import device_selector
from kubarium.apimachinery import quantity
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.object import Object
from scheduler.framework import node_selection
from scheduler.framework.columns import Ids
from scheduler.framework.nodes import Nodes

EVERYWHERE = b""
"""The reach of devices that all nodes can use; other reaches are node selector terms as JSON."""


class PoolKey(NamedTuple):
    """A pool belongs to a driver."""

    driver: str
    pool: str


class DeviceKey(NamedTuple):
    """What identifies a device in the cluster."""

    driver: str
    pool: str
    device: str


class Device:
    """One device of a slice, and what has been found out about it."""

    __slots__ = ("_view", "consumes", "is_shared", "key", "local", "matches", "spec", "terms")

    def __init__(self, key: DeviceKey, spec: Object, local: str, terms: list[Object] | None) -> None:
        self.key, self.spec = key, spec
        self.local = local  # the only node that has it, if it is one node's
        self.terms = terms  # node selector terms of those that can reach it; None: all
        self.is_shared = bool(spec.get("allowMultipleAllocations"))
        self.consumes = {
            entry["counterSet"]: {name: _nano(one) for name, one in entry["counters"].items()}
            for entry in spec.get("consumesCounters") or ()
        }
        self.matches: dict[Any, bool] = {}  # selectors -> do they choose this device?
        self._view: dict[str, Any] | None = None

    @property
    def view(self) -> dict[str, Any]:
        """What CEL expressions see."""
        if self._view is None:
            self._view = device_selector.view_of(self.spec, self.key.driver)
        return self._view

    @property
    def waits_for_binding(self) -> bool:
        """Must its driver say that it is ready before pods are bound?"""
        return bool(self.spec.get("bindingConditions"))


class Pool:
    """All devices of a pool, as its newest complete generation says."""

    def __init__(self, key: PoolKey) -> None:
        self.key = key
        self.slices: dict[str, Object] = {}  # by name, of all generations
        self.devices: dict[str, Device] = {}
        self.reaches: set[tuple[str, bytes]] = set()  # of slices and devices: (node, "") or ("", terms)
        self.counters: dict[str, dict[str, int]] = {}
        self.is_complete = False
        self.problem = ""

    def read(self) -> None:
        """Make devices of the slices."""
        newest = max((_generation(one) for one in self.slices.values()), default=0)
        current = [one for _, one in sorted(self.slices.items()) if _generation(one) == newest]
        self.devices, self.counters, self.reaches, self.problem = {}, {}, set(), ""
        self.is_complete = bool(current) and len(current) == current[0]["spec"]["pool"]["resourceSliceCount"]
        for one in current:
            self._read_slice(one["spec"])
        for device in self.devices.values():
            self._check_counters(device)

    def _read_slice(self, spec: Object) -> None:
        for entry in spec.get("sharedCounters") or ():
            if entry["name"] in self.counters:
                self.problem = f"duplicate counter set {entry['name']}"
            self.counters[entry["name"]] = {name: _nano(one) for name, one in entry["counters"].items()}
        each = bool(spec.get("perDeviceNodeSelection"))
        if not each:
            self.reaches.add(_reach(spec))
        for entry in spec.get("devices") or ():
            place = entry if each else spec
            if entry["name"] in self.devices:
                self.problem = f"duplicate device {entry['name']}"
            key = DeviceKey(*self.key, entry["name"])
            self.devices[entry["name"]] = Device(key, entry, place.get("nodeName") or "", _terms(place))
            self.reaches.add(_reach(place))

    def _check_counters(self, device: Device) -> None:
        for name, wanted in device.consumes.items():
            if self.is_complete and not wanted.keys() <= self.counters.get(name, {}).keys():
                self.problem = f"device {device.key.device} consumes counters that are not in the pool"


class PoolAtNode(NamedTuple):
    """The part of a pool that a node can reach."""

    pool: Pool
    devices: list[Device]


class Inventory:
    """All pools. `touched` is told the nodes whose own devices changed; `version` counts changes of the others."""

    def __init__(self, nodes: Nodes, touched: Callable[[str], None]) -> None:
        self._nodes, self._touched = nodes, touched
        self.pools: dict[PoolKey, Pool] = {}
        self.version = 0
        self.taken_version = 0  # counts what was taken of devices that are nobody's own, and given back
        self._local: dict[str, dict[PoolKey, list[Device]]] = {}
        self._shared: dict[bytes, dict[PoolKey, list[Device]]] = {}
        self._merged: dict[tuple[str, int], tuple[PoolAtNode, ...]] = {}

    @property
    def state(self) -> tuple[int, int, int]:
        """Changes when answers of nodes may be others, apart from changes of a node's own devices."""
        return (self.version, self.taken_version, self._nodes.labels_version if self._shared else 0)

    def put_slice(self, slice: Object) -> None:
        """A slice came or changed."""
        spec = slice["spec"]
        key = PoolKey(spec["driver"], spec["pool"]["name"])
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = Pool(key)
        pool.slices[slice["metadata"]["name"]] = slice
        self._renew(pool)

    def remove_slice(self, slice: Object) -> None:
        """A slice went."""
        spec = slice["spec"]
        pool = self.pools.get(PoolKey(spec["driver"], spec["pool"]["name"]))
        if pool is not None and pool.slices.pop(slice["metadata"]["name"], None) is not None:
            self._renew(pool)

    def device(self, key: DeviceKey) -> Device | None:
        """A device by its key; None when no slice shows it any more."""
        pool = self.pools.get(PoolKey(key.driver, key.pool))
        return None if pool is None else pool.devices.get(key.device)

    def at(self, place: int) -> tuple[PoolAtNode, ...]:
        """What the node at a place can reach, sorted by pool. The same tuple for nodes that reach the same."""
        name = self._nodes.name_of(place)
        local = self._local.get(name)
        groups, reaches = self._groups()
        group = int(groups[place])
        key = (name if local else "", group)
        known = self._merged.get(key)
        if known is None:
            parts = [local or {}, *(self._shared[reach] for reach in reaches[group])]
            known = self._merged[key] = self._merge(parts)
        return known

    def _merge(self, parts: list[dict[PoolKey, list[Device]]]) -> tuple[PoolAtNode, ...]:
        """By pool, and within a pool in the order of its slices."""
        reached: dict[PoolKey, set[DeviceKey]] = {}
        for part in parts:
            for key, devices in part.items():
                reached.setdefault(key, set()).update(device.key for device in devices)
        return tuple(
            PoolAtNode(pool, [device for device in pool.devices.values() if device.key in reached[key]])
            for key, pool in ((key, self.pools[key]) for key in sorted(reached))
        )

    def _groups(self) -> tuple[Ids, list[list[bytes]]]:
        """Which nodes reach the same devices that are nobody's own: a group per node, the reaches of each group."""
        return self._nodes.cached(
            "device groups", (self._nodes.labels_version, self.version), self._find_groups
        )

    def _find_groups(self) -> tuple[Ids, list[list[bytes]]]:
        self._merged.clear()
        reaches = list(self._shared)
        if not reaches:
            return np.zeros(self._nodes.length, dtype=np.int32), [[]]
        rows = [self._row(reach) for reach in reaches]
        found, groups = np.unique(np.array(rows), axis=1, return_inverse=True)
        members = [[reaches[row] for row in np.flatnonzero(column)] for column in found.T]
        return groups.reshape(-1).astype(np.int32), members

    def _row(self, reach: bytes) -> Any:
        if reach == EVERYWHERE:
            return np.ones(self._nodes.length, dtype=np.bool_)
        return node_selection.reachable(orjson.loads(reach), self._nodes)

    def _renew(self, pool: Pool) -> None:
        before = pool.reaches
        self._take_out(pool)
        pool.read()
        if not pool.slices:
            del self.pools[pool.key]
        for node, reach in pool.reaches:
            home = self._local.setdefault(node, {}) if node else self._shared.setdefault(reach, {})
            home[pool.key] = []
        for device in pool.devices.values():
            node, reach = device.local, _text(device.terms)
            (self._local[node] if node else self._shared[reach])[pool.key].append(device)
        self._tell(before | pool.reaches)

    def _take_out(self, pool: Pool) -> None:
        for node, reach in pool.reaches:
            homes: dict[Any, dict[PoolKey, list[Device]]] = self._local if node else self._shared
            key = node or reach
            homes[key].pop(pool.key, None)
            if not homes[key]:
                del homes[key]

    def _tell(self, reaches: set[tuple[str, bytes]]) -> None:
        local = {node for node, _ in reaches if node}
        if len(local) < len(reaches):
            self.version += 1  # groups may be others now, and with them all that was merged
        else:
            for key in [key for key in self._merged if key[0] in local or not key[0]]:
                del self._merged[key]
        for node in local:
            self._touched(node)


def _generation(slice: Object) -> int:
    return slice["spec"]["pool"].get("generation") or 0


def _terms(place: Object) -> list[Object] | None:
    selector = place.get("nodeSelector")
    return None if selector is None else selector.get("nodeSelectorTerms") or []


def _text(terms: list[Object] | None) -> bytes:
    return EVERYWHERE if terms is None else encode_to_keep(terms)


def _reach(place: Object) -> tuple[str, bytes]:
    node = place.get("nodeName") or ""
    return (node, b"") if node else ("", _text(_terms(place)))


def _nano(entry: Object) -> int:
    return quantity.parse(entry["value"]).nano
