"""The picture of the cluster on which decisions are made: nodes as columns, pods counted into them.

All arrays are changed in place, by `put_node`, `remove_node`, `put_pod` and `take_pod` only, which the cache
calls. A scheduling cycle runs without giving up the event loop, so the picture stands still for its whole length.

What changes rarely has a version (`labels_version`, `taints_version`): `cached` keeps what was computed
from it until it changes.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kubarium.api.core.pod.resources import amounts
from kubarium.apimachinery.object import Object
from scheduler.framework.claims import claim_names
from scheduler.framework.columns import Column, Floats, Ids, LabelColumn, Mask
from scheduler.framework.node_info import NodeInfo
from scheduler.framework.pod_counts import PodCounts
from scheduler.framework.pod_info import HostPort, PodInfo

__all__ = ["Mask", "Nodes", "Places"]

T = TypeVar("T")

CACHED_RESULTS = 2048
FOLLOWED_RESULTS = 256
FEW_CHANGES = 4
FIRST_PLACES = 64

Places = slice | npt.NDArray[np.intp]
TaintKey = tuple[str, str, str]


class _Followed:
    """An array, and up to which change it is good."""

    __slots__ = ("epoch", "seen", "values")

    def __init__(self, values: Any, epoch: int, seen: int) -> None:
        self.values, self.epoch, self.seen = values, epoch, seen


class Resource:
    """One resource on all nodes: what may be requested and what has been."""

    __slots__ = ("_allocatable", "_requested")

    def __init__(self, nodes: Nodes) -> None:
        self._allocatable = nodes.new_column(np.float64, 0.0)
        self._requested = nodes.new_column(np.float64, 0.0)

    @property
    def allocatable(self) -> Floats:
        """What the nodes offer to pods."""
        return self._allocatable.values

    @property
    def requested(self) -> Floats:
        """What the pods on them have asked for."""
        return self._requested.values


class Nodes:
    """Columns with one place per node."""

    def __init__(self) -> None:
        self.length = FIRST_PLACES
        self._columns: weakref.WeakSet[Column] = weakref.WeakSet()
        self._free = list(range(FIRST_PLACES - 1, -1, -1))
        self.index: dict[str, int] = {}
        self.infos: list[NodeInfo | None] = [None] * FIRST_PLACES
        self._names: list[str] | None = None

        self._valid = self.new_column(np.bool_, False)
        self._unschedulable = self.new_column(np.bool_, False)
        self._pod_count = self.new_column(np.float64, 0.0)
        self._nonzero_cpu = self.new_column(np.float64, 0.0)
        self._nonzero_memory = self.new_column(np.float64, 0.0)
        self._taint_set = self.new_column(np.int32, 0)
        self._labels: dict[str, LabelColumn] = {}
        self._taint_ids: dict[tuple[TaintKey, ...], int] = {(): 0}
        self.taint_sets: list[list[Object]] = [[]]
        self.resources: dict[str, Resource] = {}
        for name in ("cpu", "memory", "ephemeral-storage", "pods"):
            self.resource(name)

        self.labels_version = 0
        self.taints_version = 0
        self.images_version = 0
        self._followed: dict[Hashable, _Followed] = {}
        self._stamps = self.new_column(np.int64, 0)
        self._stamp = itertools.count(1)
        self._changes: list[int] = []
        self._changes_epoch = 0
        self._cache: dict[Hashable, tuple[Hashable, Any]] = {}

        self.ports: dict[
            tuple[str, int], dict[str, dict[int, int]]
        ] = {}  # (protocol, port) -> address -> place -> pods
        self.images: dict[str, dict[int, int]] = {}  # image name -> place -> bytes
        self.claims: dict[tuple[str, str], dict[int, int]] = {}  # (namespace, claim) -> place -> pods
        self.counts = PodCounts(self)

    # ---- columns

    def new_column(self, dtype: Any, empty: Any) -> Column:
        """A column that lives as long as somebody holds it."""
        column = Column(self.length, dtype, empty)
        self._columns.add(column)
        return column

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.index)

    @property
    def valid(self) -> Mask:
        """The places that hold a node."""
        return self._valid.values

    @property
    def unschedulable(self) -> Mask:
        """Cordoned nodes."""
        return self._unschedulable.values

    @property
    def pod_count(self) -> Floats:
        """Pods on each node."""
        return self._pod_count.values

    @property
    def pod_limit(self) -> Floats:
        """Pods that each node will take."""
        return self.resources["pods"].allocatable

    @property
    def nonzero_cpu(self) -> Floats:
        """Requested millicores, where silence counts as a little: for ranking."""
        return self._nonzero_cpu.values

    @property
    def nonzero_memory(self) -> Floats:
        """Requested bytes, where silence counts as a little: for ranking."""
        return self._nonzero_memory.values

    @property
    def stamps(self) -> npt.NDArray[np.int64]:
        """Per place, a number that changes with its resources and pods."""
        return self._stamps.values

    @property
    def taint_set(self) -> Ids:
        """Which of `taint_sets` each node has."""
        return self._taint_set.values

    def resource(self, name: str) -> Resource:
        """The columns of a resource, made on first sight."""
        found = self.resources.get(name)
        if found is None:
            found = self.resources[name] = Resource(self)
        return found

    def label(self, key: str) -> LabelColumn:
        """The column of a label; from the first question on it is kept up to date."""
        found = self._labels.get(key)
        if found is None:
            found = self._labels[key] = LabelColumn(self.new_column(np.int32, -1))
            for info in self.infos:
                if info is not None:
                    found.put(info.index, info.labels.get(key))
        return found

    def name_of(self, place: int) -> str:
        """The node at a place."""
        info = self.infos[place]
        assert info is not None
        return info.name

    def info(self, name: str) -> NodeInfo | None:
        """A node by name."""
        place = self.index.get(name)
        return None if place is None else self.infos[place]

    @property
    def names(self) -> list[str]:
        """The nodes by place, nothing where there is none. This list never changes: other nodes, another list."""
        if self._names is None:
            self._names = [info.name if info is not None else "" for info in self.infos]
        return self._names

    def mask_of(self, places: Any) -> Mask:
        """True at these places."""
        mask = np.zeros(self.length, dtype=np.bool_)
        mask[places] = True
        return mask

    def cached(self, key: Hashable, version: Hashable, compute: Callable[[], T]) -> T:
        """What was computed under this key while the version (and the length) was the same."""
        stamp = (self.length, version)
        known = self._cache.get(key)
        if known is not None and known[0] == stamp:
            value: T = known[1]
            return value
        if known is None and len(self._cache) >= CACHED_RESULTS:
            self._cache.pop(next(iter(self._cache)))
        value = compute()
        self._cache[key] = (stamp, value)
        return value

    def followed(
        self, key: Hashable, compute: Callable[[Places], Any], one: Callable[[int], Any] | None = None
    ) -> Any:
        """Per node, what follows from its own resources and pods; computed again only where those have changed.

        `compute` gets places (all of them, or some) and returns their values; `one` does the same for a single place
        with plain numbers, which is faster for the one node that got the last pod. Read the answer, do not keep it.
        """
        known = self._followed.pop(key, None)
        if known is None or known.epoch != self._changes_epoch or len(known.values) != self.length:
            if len(self._followed) >= FOLLOWED_RESULTS:
                self._followed.pop(next(iter(self._followed)))
            known = _Followed(compute(slice(None)), self._changes_epoch, len(self._changes))
        elif known.seen < len(self._changes):
            changed = set(self._changes[known.seen :])
            if one is not None and len(changed) <= FEW_CHANGES:
                for place in changed:
                    known.values[place] = one(place)
            elif len(changed) * 8 < self.length:
                places = np.array(list(changed))
                known.values[places] = compute(places)
            else:
                known.values = compute(slice(None))
            known.seen = len(self._changes)
        self._followed[key] = known  # now the one asked for last
        return known.values

    def touch(self, place: int) -> None:
        """Something that `followed` values are made of has changed here."""
        self._stamps.values[place] = next(self._stamp)
        self._changes.append(place)
        if len(self._changes) > 4 * self.length:
            self._changes.clear()
            self._changes_epoch += 1

    # ---- nodes

    def put_node(self, node: Object) -> NodeInfo:
        """Add a node, or bring its columns up to date."""
        name = node["metadata"]["name"]
        place = self.index.get(name)
        if place is None:
            place = self._take_place()
            info = self.infos[place] = NodeInfo(node, place)
            self.index[name] = place
            self._names = None
            self._valid.values[place] = True
            self.labels_version += 1
            self._describe(info, None)
        else:
            known = self.infos[place]
            assert known is not None
            info = known
            old, info.node = info.node, node
            self._describe(info, old)
        return info

    def remove_node(self, name: str) -> list[PodInfo]:
        """Forget a node; the pods that were still on it are taken out and returned."""
        place = self.index.get(name)
        if place is None:
            return []
        info = self.infos[place]
        assert info is not None
        pods = list(info.pods.values())
        for pod in pods:
            self.take_pod(pod)
        for label in self._labels.values():
            label.put(place, None)
        for resource in self.resources.values():
            resource.allocatable[place] = 0.0
        self.touch(place)
        for image, _ in _images(info.node):
            self._forget_image(image, place)
        self.images_version += 1
        self._unschedulable.values[place] = False
        self._taint_set.values[place] = 0
        self._valid.values[place] = False
        self.infos[place] = None
        del self.index[name]
        self._names = None
        self._free.append(place)
        self.labels_version += 1
        self.taints_version += 1
        return pods

    def _take_place(self) -> int:
        if not self._free:
            old = self.length
            self.length = old + max(FIRST_PLACES, old // 8)
            self.infos.extend([None] * (self.length - old))
            self._free = list(range(self.length - 1, old - 1, -1))
            for column in list(self._columns):
                column.grow(self.length)
        return self._free.pop()

    def _describe(self, info: NodeInfo, old: Object | None) -> None:
        node, place = info.node, info.index
        labels = info.labels
        if old is None or (old["metadata"].get("labels") or {}) != labels:
            for key, column in self._labels.items():
                column.put(place, labels.get(key))
            self.labels_version += 1
        spec = node.get("spec") or {}
        taints = self._taint_set_of(info.taints)
        unschedulable = bool(spec.get("unschedulable"))
        if (
            taints != self._taint_set.values[place]
            or unschedulable != self._unschedulable.values[place]
            or old is None
        ):
            self._taint_set.values[place] = taints
            self._unschedulable.values[place] = unschedulable
            self.taints_version += 1
        status, before = node.get("status") or {}, (old or {}).get("status") or {}
        allocatable = status.get("allocatable") or status.get("capacity") or {}
        if old is None or allocatable != (before.get("allocatable") or before.get("capacity") or {}):
            self._offer(place, amounts(allocatable))
        if status.get("images") != before.get("images"):
            for name, _ in _images(old) if old else ():
                self._forget_image(name, place)
            for name, size in _images(node):
                self.images.setdefault(name, {})[place] = size
            self.images_version += 1

    def _offer(self, place: int, allocatable: dict[str, int]) -> None:
        for name in allocatable:
            self.resource(name)
        for name, resource in self.resources.items():
            resource.allocatable[place] = allocatable.get(name, 0)
        self.touch(place)

    def _taint_set_of(self, taints: list[Object]) -> int:
        key = tuple((t.get("key") or "", t.get("value") or "", t.get("effect") or "") for t in taints)
        known = self._taint_ids.get(key)
        if known is None:
            known = self._taint_ids[key] = len(self.taint_sets)
            self.taint_sets.append(taints)
        return known

    def _forget_image(self, name: str, place: int) -> None:
        holders = self.images.get(name)
        if holders is not None:
            holders.pop(place, None)
            if not holders:
                del self.images[name]

    # ---- pods

    def put_pod(self, pod: PodInfo, place: int) -> None:
        """Count a pod into a node."""
        info = self.infos[place]
        assert info is not None
        info.pods[pod.uid] = pod
        pod.node = place
        self._count_pod(pod, place, 1)

    def take_pod(self, pod: PodInfo) -> None:
        """Count a pod out of its node again."""
        place = pod.node
        info = self.infos[place]
        assert info is not None
        del info.pods[pod.uid]
        self._count_pod(pod, place, -1)
        pod.node = -1

    def renew_pod(self, known: PodInfo, fresh: PodInfo) -> None:
        """A pod on a node has become one of another kind, and takes as much as before: `followed` values stay."""
        place = known.node
        info = self.infos[place]
        assert info is not None
        info.pods[fresh.uid] = fresh
        fresh.node, known.node = place, -1
        self._stamps.values[place] = next(self._stamp)
        self.counts.count(fresh, place, 1)  # first, so that terms which both have do not vanish in between
        self.counts.count(known, place, -1)

    def _count_pod(self, pod: PodInfo, place: int, sign: int) -> None:
        self.touch(place)
        self._pod_count.values[place] += sign
        self._nonzero_cpu.values[place] += sign * pod.nonzero_cpu
        self._nonzero_memory.values[place] += sign * pod.nonzero_memory
        for name, number in pod.requests.items():
            resource = self.resources.get(name) or self.resource(name)
            resource.requested[place] += sign * number
        for port in pod.host_ports:
            self._count_port(port, place, sign)
        if pod.volumes:
            for claim in claim_names(pod):
                self._count_claim((pod.namespace, claim), place, sign)
        self.counts.count(pod, place, sign)

    def _count_claim(self, claim: tuple[str, str], place: int, sign: int) -> None:
        users = self.claims.setdefault(claim, {})
        users[place] = users.get(place, 0) + sign
        if not users[place]:
            del users[place]
            if not users:
                del self.claims[claim]

    def _count_port(self, port: HostPort, place: int, sign: int) -> None:
        users = self.ports.setdefault((port.protocol, port.port), {}).setdefault(port.address, {})
        users[place] = users.get(place, 0) + sign
        if not users[place]:
            del users[place]


def _images(node: Object) -> list[tuple[str, int]]:
    return [
        (name, image.get("sizeBytes") or 0)
        for image in (node.get("status") or {}).get("images") or ()
        for name in image.get("names") or ()
    ]
