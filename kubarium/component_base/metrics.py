"""Metrics under upstream's names, and three sorts of them that cost little to add to.

`prometheus_client` locks, checks and walks through buckets with each addition. Whatever runs in one event loop needs no
locks: `Counts` and `Timings` take a fraction of a microsecond, `Readings` are only asked when somebody looks.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from kubarium.component_base.version import version_document

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # upstream has no `_created`

Labels = tuple[str, ...]


class _Counter(str):
    """The type of a counter whose name does not end as counters should: to the library's eyes it is none."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


class _BareCounter(GaugeMetricFamily):
    """A counter under exactly its name; the library would add `_total`, and upstream has some that end otherwise."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        super().__init__(name, text, labels=labels)
        self.type = _Counter("counter")


class Count:
    """A number that grows."""

    __slots__ = ("shown", "value")

    def __init__(self, shown: bool = False) -> None:
        self.value = 0.0
        self.shown = shown  # even as long as it is zero


class Counts(Collector):
    """A counter."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry | None = REGISTRY
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[Labels, Count] = {}
        if registry is not None:
            registry.register(self)

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Count something."""
        count = self._values.get(labels)
        if count is None:
            count = self._values[labels] = Count(shown=True)
        count.value += amount

    def of(self, labels: Labels) -> Count:
        """What counts under these labels, for whoever adds to it very often: it is shown once it is not zero."""
        return self._values.setdefault(labels, Count())

    def value(self, labels: Labels = ()) -> float:
        """What was counted so far."""
        count = self._values.get(labels)
        return count.value if count is not None else 0.0

    def describe(self) -> Iterable[Metric]:
        """By the whole name: there may be a gauge of that name without `_total`."""
        return [Metric(self._name, self._text, "unknown")]

    def collect(self) -> Iterable[Metric]:
        """As the registry wants it."""
        kind = CounterMetricFamily if self._name.endswith("_total") else _BareCounter
        family = kind(self._name, self._text, labels=self._labels)
        for labels, count in [*self._values.items()]:
            if count.value or count.shown:
                family.add_metric(labels, count.value)
        return [family]


class Timings(Collector):
    """A histogram."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._bounds = list(buckets)
        self._counts: dict[Labels, list[int]] = {}  # by bucket, the last one for everything larger
        self._sums: dict[Labels, float] = {}
        if registry is not None:
            registry.register(self)

    def observe(self, labels: Labels, value: float) -> None:
        """Add one observation."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    @contextlib.contextmanager
    def timed(self, labels: Labels = ()) -> Iterator[None]:
        """Observe how long the block takes, however it ends."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe(labels, time.perf_counter() - began)

    def count(self, labels: Labels) -> int:
        """How many observations there were."""
        return sum(self._counts.get(labels, ()))

    def total(self, labels: Labels) -> float:
        """The sum of all observations."""
        return self._sums.get(labels, 0.0)

    def collect(self) -> Iterable[Metric]:
        """As the registry wants it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, counts in [*self._counts.items()]:
            total, buckets = 0, []
            for bound, count in zip([*map(_shown, self._bounds), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric(labels, buckets, self._sums[labels])
        return [family]


def _shown(bound: float) -> str:
    """A bound as Go writes it: as short as it can be without becoming another one."""
    shortest = repr(float(bound)).removesuffix(".0")
    return f"{bound:.0e}" if bound >= 1e6 and float(f"{bound:.0e}") == bound else shortest


Read = Callable[[], Iterable[tuple[Labels, float]]]


class Readings(Collector):
    """A gauge whose values are read when somebody asks for them."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        read: Read = tuple,
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self.read: Read = read
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """As the registry wants it."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self.read():
            family.add_metric(labels, value)
        return [family]


class Latest(Readings):
    """A gauge whose values are set when something happens."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry | None = REGISTRY
    ) -> None:
        self._values: dict[Labels, float] = {}
        super().__init__(name, text, labels, lambda: [*self._values.items()], registry)

    def set(self, labels: Labels, value: float) -> None:
        """The value from now on."""
        self._values[labels] = value

    def value(self, labels: Labels) -> float:
        """The value as it is; 0 if none was set."""
        return self._values.get(labels, 0.0)


for _name, _text in (
    ("disabled_metrics_total", "The count of disabled metrics."),
    ("hidden_metrics_total", "The count of hidden metrics."),
):
    Counts(_name, _text, ()).add(amount=0)

_BUILD = {
    "build_date": "buildDate",
    "compiler": "compiler",
    "git_commit": "gitCommit",
    "git_tree_state": "gitTreeState",
    "git_version": "gitVersion",
    "go_version": "goVersion",
    "major": "major",
    "minor": "minor",
    "platform": "platform",
}


def _build() -> Iterable[tuple[Labels, float]]:
    found = version_document()
    return [(tuple(found[key] for key in _BUILD.values()), 1.0)]


Readings(
    "kubernetes_build_info",
    "A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, "
    "Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
    tuple(_BUILD),
    _build,
)
