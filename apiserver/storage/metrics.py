"""What storage measures: requests to etcd, events from it, how much it holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apiserver.storage.family import ROOT, family_of
from kubarium.component_base.metrics import Counts, Readings, Timings

_REQUEST = ("operation", "group", "resource")
_RESOURCE = ("group", "resource")
_BUCKETS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
DURATIONS = Timings(
    "etcd_request_duration_seconds",
    "Etcd request latency in seconds for each operation and object type.",
    _REQUEST,
    _BUCKETS,
)
REQUESTS = Counts("etcd_requests_total", "Etcd request counts for each operation and object type.", _REQUEST)
ERRORS = Counts(
    "etcd_request_errors_total", "Etcd failed request counts for each operation and object type.", _REQUEST
)
EVENTS = Counts(
    "apiserver_storage_events_received_total", "Number of etcd events received split by kind.", _RESOURCE
)
_OBJECTS = Readings(
    "apiserver_storage_objects",
    "[DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at the time of last "
    "check split by kind. In case of a fetching error, the value will be -1.",
    ("resource",),
)
_RESOURCE_OBJECTS = Readings(
    "apiserver_resource_objects",
    "Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be "
    "-1.",
    _RESOURCE,
)
_SIZE = Readings(
    "apiserver_storage_size_bytes",
    "Size of the storage database file physically allocated in bytes.",
    ("storage_cluster_id",),
)

_names: dict[str, tuple[str, str]] = {}  # prefix of a family -> its group and resource


def name(families: Mapping[str, tuple[str, str]]) -> None:
    """Say which resources are kept under which prefixes, where the prefix does not say it."""
    _names.update(families)


def resource_of(key: str) -> tuple[str, str]:
    """Group and resource of what is kept under a key."""
    family = family_of(key)
    found = _names.get(family)
    if found is None:
        group, _, resource = family.removeprefix(ROOT).rstrip("/").rpartition("/")
        found = _names[family] = group, resource
    return found


def read_objects(counts: Mapping[str, int]) -> None:
    """Where the numbers of objects come from; `counts` goes by family and changes all the time."""

    def counted() -> Iterable[tuple[tuple[str, str], float]]:
        return [
            (resource_of(prefix), float(counts.get(prefix, 0)))
            for prefix in {*_names, *counts}
            if prefix != ROOT
        ]

    _RESOURCE_OBJECTS.read = counted
    _OBJECTS.read = lambda: [
        ((f"{resource}.{group}" if group else resource,), count) for (group, resource), count in counted()
    ]


def note_sizes(sizes: Sequence[int]) -> None:
    """How large the file of each etcd is."""
    _SIZE.read = lambda: [((f"etcd-{index}",), float(size)) for index, size in enumerate(sizes)]


class timed:
    """Measures one request to etcd. A class, because this stands on the hottest paths."""

    __slots__ = ("_began", "_labels")

    def __init__(self, operation: str, key: str) -> None:
        self._labels = (operation, *resource_of(key))

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        DURATIONS.observe(self._labels, time.perf_counter() - self._began)
        REQUESTS.add(self._labels)
        if error is not None:
            ERRORS.add(self._labels)
