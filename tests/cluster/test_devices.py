"""Devices reach containers: those of a device plugin by their limits, those of a DRA driver by claims."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.device_plugin import DRIVER, RESOURCE
from tests.cluster.objects import pod

pytestmark = pytest.mark.cluster

NODE, FOLDER = "node-2", "/var/lib/things"
SOURCE = Path(__file__).parents[2]
DRA = "resource.k8s.io/v1"


class Plugin:
    """The process, and what it was asked."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def inside(self, script: str) -> str:
        return self.shell.on_node(NODE, "sh", "-c", script, check=False)

    def calls(self, name: str) -> list[Any]:
        lines = [json.loads(line) for line in self.inside(f"cat {FOLDER}/calls").splitlines()]
        return [line for line in lines if line["call"] == name]

    def on_node(self) -> tuple[str, str]:
        """Capacity and allocatable."""
        status = self.shell.get("node", NODE)["status"]
        return status["capacity"].get(RESOURCE, ""), status["allocatable"].get(RESOURCE, "")


@pytest.fixture
def plugin(stories: Shell, namespace: str) -> Iterator[Plugin]:
    made = Plugin(stories)
    made.inside(f"rm -rf {FOLDER}")
    words = f"{sys.executable} -m tests.cluster.device_plugin {FOLDER}"
    made.inside(f"cd {SOURCE} && setsid {words} >/tmp/things.log 2>&1 </dev/null &")
    until(lambda: made.on_node() == ("3", "3"), what="things not in the node's status")
    yield made
    stories.kubectl("delete", "pods", "--all", "-n", namespace)
    made.inside(f"kill $(cat {FOLDER}/pid); rm -rf {FOLDER} /var/lib/kubelet/plugins_registry/*")
    until(lambda: made.on_node()[1] == "0", what="things still allocatable")


def wants(name: str, count: int) -> Any:
    """A pod that needs things."""
    made = pod(name, "sh", "-c", "trap exit TERM; sleep 1000 & wait", restartPolicy="Always")
    made["spec"]["containers"][0]["resources"] = {"limits": {RESOURCE: str(count)}}
    return made


def is_ready(shell: Shell, name: str, namespace: str) -> bool:
    conditions = shell.get("pod", name, "-n", namespace)["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_things_of_a_plugin(stories: Shell, plugin: Plugin, namespace: str) -> None:
    stories.apply(wants("first", 2), namespace=namespace)
    until(lambda: is_ready(stories, "first", namespace))
    inside = ("exec", "first", "-n", namespace, "--", "sh", "-c")
    said = stories.kubectl(*inside, "echo $THINGS; ls /dev/thing-*; test -e /things/calls && echo mounted")
    assert said.split() == ["thing-1,thing-2", "/dev/thing-1", "/dev/thing-2", "mounted"]  # as it prefers
    assert plugin.calls("PreStartContainer")[0]["devices_ids"] == ["thing-1", "thing-2"]

    stories.apply(wants("second", 2), namespace=namespace)

    def is_told() -> bool:
        events = stories.get("events", "-n", namespace)["items"]
        return any(f"Insufficient {RESOURCE}" in one["message"] for one in events)

    until(is_told, what="second pod not refused by the scheduler")

    # A restarted kubelet knows who has what, and the sick are not given away.
    uid = stories.get("pod", "first", "-n", namespace)["status"]["containerStatuses"][0]["containerID"]
    stories.kill(f"{NODE}/kubelet")
    plugin.inside(f"echo thing-1 > {FOLDER}/sick")
    until(lambda: plugin.on_node() == ("3", "2"), what="a sick one less")
    status = until(lambda: stories.get("pod", "first", "-n", namespace)["status"]["containerStatuses"][0])
    assert status["containerID"] == uid and status["restartCount"] == 0

    def health() -> Any:
        found = stories.get("pod", "first", "-n", namespace)["status"]["containerStatuses"][0]
        (about,) = found["allocatedResourcesStatus"]
        assert about["name"] == RESOURCE
        return {one["resourceID"]: one["health"] for one in about["resources"]}

    until(lambda: health() == {"thing-1": "Unhealthy", "thing-2": "Healthy"}, what="health")

    plugin.inside(f"rm {FOLDER}/sick")
    stories.kubectl("delete", "pod", "first", "-n", namespace)
    until(lambda: is_ready(stories, "second", namespace), what="second pod did not get the things")


def test_a_gadget_by_a_claim(stories: Shell, plugin: Plugin, namespace: str) -> None:
    piece = {
        "apiVersion": DRA,
        "kind": "ResourceSlice",
        "metadata": {"name": "gadgets"},
        "spec": {
            "driver": DRIVER,
            "nodeName": NODE,
            "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gadget-0"}],
        },
    }
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    device_class = {
        "apiVersion": DRA,
        "kind": "DeviceClass",
        "metadata": {"name": "gadgets"},
        "spec": {"selectors": [selector]},
    }
    request = {"name": "gadget", "exactly": {"deviceClassName": "gadgets"}}
    template = {
        "apiVersion": DRA,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "gadget"},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }
    made = pod("web", "sleep", "1000")
    made["spec"]["resourceClaims"] = [{"name": "mine", "resourceClaimTemplateName": "gadget"}]
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "mine"}]}
    stories.apply(piece, device_class, template, made, namespace=namespace)
    until(lambda: is_ready(stories, "web", namespace), what="pod with a claim not ready")
    said = stories.kubectl("exec", "web", "-n", namespace, "--", "sh", "-c", "echo $GADGET; ls /dev/gadget")
    assert said.split() == ["gadget-0", "/dev/gadget"]
    (claim,) = stories.get("resourceclaims", "-n", namespace)["items"]
    (asked,) = plugin.calls("NodePrepareResources")
    assert asked["claims"] == [
        {"namespace": namespace, "uid": claim["metadata"]["uid"], "name": claim["metadata"]["name"]}
    ]
    stories.kubectl("delete", "pod", "web", "-n", namespace)
    until(lambda: plugin.calls("NodeUnprepareResources"), what="claim not given back")
    for kind in ("resourceslice", "deviceclass"):
        stories.kubectl("delete", kind, "gadgets")
