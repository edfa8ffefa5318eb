"""A running pod is changed: counted by its generation, resized, given more containers, a deadline, and an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kubarium.client.rest import Client
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, NGINX, pod

pytestmark = pytest.mark.cluster

UPDATES = 499


class One:
    """One pod, asked and changed through the API."""

    def __init__(self, shell: Shell, namespace: str, name: str) -> None:
        self.shell, self.namespace, self.name = shell, namespace, name

    def _ask(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return self.shell.ask(lambda client: work(client.resource("v1", "pods")))

    def get(self, subresource: str = "") -> Any:
        return self._ask(lambda pods: pods.get(self.name, self.namespace, subresource=subresource))

    def patch(self, body: Any, form: str = "strategic", subresource: str = "") -> Any:
        return self._ask(
            lambda pods: pods.patch(self.name, body, self.namespace, type=form, subresource=subresource)
        )

    def put(self, body: Any, subresource: str = "") -> Any:
        return self._ask(lambda pods: pods.update(body, subresource=subresource))

    def is_ready(self) -> bool:
        conditions = self.get()["status"].get("conditions") or []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def observes(self, generation: int) -> bool:
        """Has the kubelet seen this generation, and is the one of the object the same?"""
        found = self.get()
        assert found["metadata"]["generation"] == generation, found["metadata"]
        return bool(found["status"].get("observedGeneration") == generation)


def test_a_generation_counts_what_is_wished(stories: Shell, namespace: str) -> None:
    made = pod("counted", "sleep", "1000")
    made["metadata"]["generation"] = 100
    made["spec"]["initContainers"] = [
        {"name": "first", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
    ]
    stories.apply(made, pod("often", "sleep", "1000"), namespace=namespace)
    one, often = One(stories, namespace, "counted"), One(stories, namespace, "often")
    until(lambda: one.is_ready() and often.is_ready(), what="ready")
    until(lambda: one.observes(1))
    toleration = {"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}
    changes = [
        ({}, 1),
        ({"spec": {"tolerations": [*one.get()["spec"]["tolerations"], toleration]}}, 2),
        ({"spec": {"activeDeadlineSeconds": 5000}}, 3),
        ({"spec": {"containers": [{"name": "main", "image": NGINX}]}}, 4),
        ({"spec": {"initContainers": [{"name": "first", "image": NGINX}]}}, 5),
        ({"metadata": {"annotations": {"key": "value"}}}, 5),
        ({"metadata": {"generation": 1}}, 5),
    ]
    for body, generation in changes:
        assert one.patch(body)["metadata"]["generation"] == generation, body
        until(lambda generation=generation: one.observes(generation), what=f"generation {generation}")
    until(lambda: one.get()["status"]["containerStatuses"][0]["restartCount"] == 1, what="another image")

    async def change_often(client: Client) -> Any:
        pods = client.resource("v1", "pods")
        taints = (await pods.get("often", namespace))["spec"]["tolerations"]
        for number in range(UPDATES):
            taints.append({"key": f"key-{number}", "operator": "Exists", "effect": "NoSchedule"})
            after = await pods.patch("often", {"spec": {"tolerations": taints}}, namespace, type="merge")
        return after

    assert stories.ask(change_often)["metadata"]["generation"] == UPDATES + 1
    until(lambda: often.observes(UPDATES + 1), what="the last generation")

    async def delete(client: Client) -> Any:
        return await client.resource("v1", "pods").delete("counted", namespace, grace_period_seconds=60)

    stories.ask(delete)
    assert one.get()["metadata"]["generation"] == 6  # to leave is a wish, too
