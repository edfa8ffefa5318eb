"""A node loses power: its pods are replaced elsewhere, and it may come back."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import Shell, all_nodes_take_pods, until
from tests.cluster.objects import web

pytestmark = pytest.mark.cluster


def condition(stories: Shell, node: str) -> str:
    conditions = stories.get("node", node)["status"]["conditions"]
    return str(next(each["status"] for each in conditions if each["type"] == "Ready"))


def taints(stories: Shell, node: str) -> list[str]:
    return [taint["key"] for taint in stories.get("node", node)["spec"].get("taints") or []]


def places(stories: Shell, namespace: str) -> list[str]:
    items = stories.get("pods", "-n", namespace)["items"]
    return sorted(
        item["spec"]["nodeName"]
        for item in items
        if "deletionTimestamp" not in item["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in item["status"]["conditions"])
    )


def test_a_node_dies_and_comes_back(stories: Shell, namespace: str) -> None:
    all_nodes_take_pods(stories)
    # A lost node's pods are replaced after a second here, not after five minutes.
    brief = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    keys = [f"node.kubernetes.io/{why}" for why in ("not-ready", "unreachable")]
    stories.apply(web(tolerations=[{"key": key, **brief} for key in keys]), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    until(lambda: places(stories, namespace) == ["node-1", "node-2", "node-3"], what="a pod on each node")

    stories.kubarium("node", "kill", "node-3")
    until(lambda: condition(stories, "node-3") == "Unknown", what="NotReady")
    until(lambda: "node.kubernetes.io/unreachable" in taints(stories, "node-3"), what="taint")
    until(
        lambda: set(alive := places(stories, namespace)) == {"node-1", "node-2"} and len(alive) == 3,
        what="moved",
    )

    stories.kubarium("node", "start", "node-3")
    until(lambda: condition(stories, "node-3") == "True", what="Ready again")
    until(lambda: not taints(stories, "node-3"), what="no taints")
    until(lambda: len(stories.get("pods", "-n", namespace)["items"]) == 3, what="no trace of the lost pod")


def test_nodes_come_and_go(stories: Shell) -> None:
    try:
        assert "node-4 is Ready" in stories.kubarium("node", "add", "node-4")
        until(lambda: condition(stories, "node-4") == "True", what="Ready")
        assert "nginx" in stories.on_node("node-4", "ctr", "-n", "k8s.io", "images", "list", "-q")
    finally:
        stories.kubarium("node", "remove", "node-4")
    assert "NotFound" in stories.kubectl("get", "node", "node-4", check=False)
