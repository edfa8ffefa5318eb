"""What commands say: tables, rollouts, conditions, titles."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.kubectl.commands.describe import title
from kubarium.kubectl.commands.rollout import progress
from kubarium.kubectl.commands.wait import holds
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import TablePrinter, columns, custom_columns

PODS = Kind("", "v1", "pods", "pod", "Pod", True, frozenset(), ("po",), ("all",), frozenset())


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns(["NAME", "AGE"], [["a-long-name", "1s"], ["b", "10s"]]) == (
        "NAME          AGE\na-long-name   1s\nb             10s"
    )


def test_a_table_hides_wide_columns_and_shows_headers_once() -> None:
    table = {
        "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "IP", "priority": 1}],
        "rows": [
            {"cells": ["a", "1.2.3.4"], "object": {"metadata": {"namespace": "ns", "labels": {"x": "y"}}}}
        ],
    }
    printer = TablePrinter(PODS, with_namespace=True, labels=True)
    assert printer.text(table) == "NAMESPACE   NAME   LABELS\nns          a      x=y"
    assert printer.text(table) == "ns   a   x=y"
    assert "1.2.3.4" in TablePrinter(PODS, wide=True).text(table)


def test_custom_columns() -> None:
    obj = {"items": [{"a": {"b": 1}}, {"a": {}}]}
    assert custom_columns(obj, "B:.a.b") == "B\n1\n<none>"


def deployment(**status: Any) -> Any:
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 2, **status},
    }


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"observedGeneration": 1}, "Waiting for deployment spec update to be observed..."),
        ({"updatedReplicas": 1}, "1 out of 3 new replicas have been updated..."),
        ({"updatedReplicas": 3, "replicas": 4}, "1 old replicas are pending termination..."),
        (
            {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 2},
            "2 of 3 updated replicas are available...",
        ),
        (
            {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3},
            'deployment "web" successfully rolled out',
        ),
    ],
)
def test_rollout_progress(status: Any, text: str) -> None:
    said, done = progress(deployment(**status))
    assert said.endswith(text)
    assert done == said.endswith("rolled out")


def test_conditions_to_wait_for() -> None:
    pod = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert holds(pod, "condition=ready")
    assert not holds(pod, "condition=Ready=false")
    assert holds(pod, "jsonpath={.status.phase}=Running")
    assert holds(pod, "jsonpath='{.status.phase}'")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("restartPolicy", "Restart Policy"),
        ("hostIP", "Host IP"),
        ("podCIDRs", "Pod CIDRs"),
        ("app.io/x", "app.io/x"),
    ],
)
def test_titles(key: str, expected: str) -> None:
    assert title(key) == expected
