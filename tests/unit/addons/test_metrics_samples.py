"""From two scrapes of a kubelet to what is in use."""

import pytest

from addons.metrics_server.metrics_api import list_of, pod_metrics, table_of
from addons.metrics_server.samples import Samples, parse

SCRAPE = """# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total {cpu} {at}
node_memory_working_set_bytes 2097152 {at}
container_cpu_usage_seconds_total{{container="web",namespace="default",pod="web-1"}} {cpu} {at}
container_memory_working_set_bytes{{container="web",namespace="default",pod="web-1"}} 1048576 {at}
"""
POD = {"metadata": {"name": "web-1", "namespace": "default"}, "spec": {"nodeName": "node-1"}}


def scrape(cpu: float, seconds: int) -> str:
    return SCRAPE.format(cpu=cpu, at=seconds * 1000)


def test_two_scrapes_make_a_rate() -> None:
    samples = Samples()
    samples.put("node-1", parse(scrape(10, 100), 0))
    assert samples.node("node-1") is None
    samples.put("node-1", parse(scrape(12.5, 110), 0))
    used = samples.node("node-1")
    assert used is not None
    assert (used.nanocores, used.memory_bytes, used.window) == (250_000_000, 2097152, 10)


def test_a_pod_shows_its_containers() -> None:
    samples = Samples()
    for cpu, seconds in ((1, 100), (2, 104)):
        samples.put("node-1", parse(scrape(cpu, seconds), 0))
    metrics = pod_metrics(POD, samples)
    assert metrics is not None
    assert metrics["containers"] == [{"name": "web", "usage": {"cpu": "250m", "memory": "1Mi"}}]
    table = table_of(list_of("PodMetrics", [metrics]))
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert table["rows"][0]["cells"] == ["web-1", "250m", "1Mi", "4.000s"]


@pytest.mark.parametrize("second", [(1, 200), (10, 100)], ids=["restarted", "the same scrape again"])
def test_samples_that_do_not_belong_together_say_nothing(second: tuple[float, int]) -> None:
    samples = Samples()
    samples.put("node-1", parse(scrape(10, 100), 0))
    samples.put("node-1", parse(scrape(*second), 0))
    assert samples.node("node-1") is None
