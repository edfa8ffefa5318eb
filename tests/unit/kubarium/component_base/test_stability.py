"""Help texts begin with how stable a metric is, and the metrics are counted by it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from kubarium.component_base import stability


def test_texts_begin_with_the_level() -> None:
    registry = CollectorRegistry()
    Counter("apiserver_request", "Requests.", registry=registry)
    Gauge("workqueue_depth", "Depth.", registry=registry)
    Gauge("apiserver_anything", "Else.", registry=registry)
    Gauge("process_open_fds", "Files.", registry=registry)
    for _ in range(2):  # nothing is kept from the last time
        text = stability.exposition(registry).decode()
        assert "# HELP apiserver_request_total [STABLE] Requests.\n" in text
        assert "# HELP workqueue_depth [BETA] Depth.\n" in text
        assert "# HELP apiserver_anything [ALPHA] Else.\n" in text
        assert "# HELP process_open_fds Files.\n" in text


def test_the_metrics_of_the_process_are_counted() -> None:
    lines = stability.exposition().decode().splitlines()
    (beta,) = [line for line in lines if line.startswith("registered_metrics_total") and "BETA" in line]
    assert beta.startswith('registered_metrics_total{deprecated_version="",stability_level="BETA"} ')
    assert float(beta.split()[1]) >= 2  # hidden_metrics_total and disabled_metrics_total, of every process
