"""Metrics that cost little, in Prometheus' text form."""

from __future__ import annotations

import prometheus_client
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from kubarium.client.work_queue import WorkQueue
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.health import Health
from kubarium.component_base.metrics import Counts, Readings, Timings


def shown(registry: CollectorRegistry) -> list[str]:
    text = prometheus_client.generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("# HELP")]


def test_counts() -> None:
    registry = CollectorRegistry()
    counts = Counts("things_total", "Things.", ("sort",), registry)
    counts.add(("a",))
    counts.add(("a",), 2)
    assert counts.value(("a",)) == 3
    assert shown(registry) == ["# TYPE things_total counter", 'things_total{sort="a"} 3.0']
    often = counts.of(("b",))
    assert len(shown(registry)) == 2  # nothing has been counted there
    often.value += 5
    counts.add(("b",))
    counts.add(("none",), 0)
    assert shown(registry)[2:] == ['things_total{sort="b"} 6.0', 'things_total{sort="none"} 0.0']


def test_a_counter_may_have_any_name() -> None:
    registry = CollectorRegistry()
    Counts("evictions", "Evictions.", ("why",), registry).add(("memory",))
    assert shown(registry) == ["# TYPE evictions counter", 'evictions{why="memory"} 1.0']


def test_a_counter_may_be_called_like_a_gauge() -> None:
    registry = CollectorRegistry()
    Readings("lost", "Who is lost.", (), lambda: [((), 1.0)], registry)
    Counts("lost_total", "How often somebody was.", (), registry).add()
    assert shown(registry) == [
        "# TYPE lost gauge", "lost 1.0", "# TYPE lost_total counter", "lost_total 1.0",
    ]  # fmt: skip


def test_timings() -> None:
    registry = CollectorRegistry()
    timings = Timings("wait_seconds", "Waits.", ("sort",), (0.5, 1, 1000000), registry)
    for value in (0.5, 0.6, 2, 2e6):
        timings.observe(("a",), value)
    assert shown(registry) == [
        "# TYPE wait_seconds histogram",
        'wait_seconds_bucket{le="0.5",sort="a"} 1.0',
        'wait_seconds_bucket{le="1",sort="a"} 2.0',
        'wait_seconds_bucket{le="1e+06",sort="a"} 3.0',
        'wait_seconds_bucket{le="+Inf",sort="a"} 4.0',
        'wait_seconds_count{sort="a"} 4.0',
        'wait_seconds_sum{sort="a"} 2.0000031e+06',
    ]
    small = Timings("small", "Small.", (), (9.999999999999999e-06, 0.001), CollectorRegistry())
    small.observe((), 0.0005)
    (family,) = small.collect()
    bounds = [sample.labels["le"] for sample in family.samples if "le" in sample.labels]
    assert bounds == ["9.999999999999999e-06", "0.001", "+Inf"]  # as Go writes them


def test_readings() -> None:
    registry = CollectorRegistry()
    readings = Readings("depth", "Depth.", (), registry=registry)
    assert shown(registry) == ["# TYPE depth gauge"]
    readings.read = lambda: [((), 7.0)]
    assert shown(registry) == ["# TYPE depth gauge", "depth 7.0"]


async def test_queues_and_checks_are_measured() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock, name="measured")
    queue.add("a")
    queue.add("b")
    await clock.advance(2)
    assert await queue.get() == "a"
    await clock.advance(3)
    health = Health()
    await health.answer("readyz", {"path": "/readyz"})
    _, _, text = await health.pages()["/metrics"]({})
    found = {
        (sample.name, sample.labels.get("name")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    assert found["workqueue_adds_total", "measured"] == 2
    assert found["workqueue_depth", "measured"] == 1
    assert found["workqueue_queue_duration_seconds_sum", "measured"] == 2
    assert found["workqueue_unfinished_work_seconds", "measured"] == 3
    assert found["workqueue_longest_running_processor_seconds", "measured"] == 3
    assert ("kubernetes_healthcheck", "ping") not in found
    _, _, slis = await health.pages()["/metrics/slis"]({})
    assert b'\nkubernetes_healthcheck{name="ping",type="readyz"} 1.0\n' in slis
    assert b'\nkubernetes_healthchecks_total{name="ping",status="success",type="readyz"} ' in slis
    queue.done("a")
    assert found["kubernetes_build_info", None] == 1
