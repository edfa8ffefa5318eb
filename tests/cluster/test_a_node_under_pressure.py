"""A small node runs out of disk, of memory and of process ids; somebody must go. Then it is shut down in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import PATIENCE, Shell, until
from tests.cluster.objects import pod

pytestmark = pytest.mark.cluster

NODE = "small"
MIB = 1 << 20


def settings(most: int) -> dict[str, str]:
    """`/` of a node is a file system of 64 MiB in memory: there the kubelet finds its disk quickly full."""
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    return {
        "root-dir": "/kubelet",
        "eviction-hard": f"nodefs.available<30Mi,memory.available<100Mi,pid.available<{most - 150}",
        "eviction-pressure-transition-period": "8s",
        "system-reserved": f"memory={memory // MIB - 300}Mi",
        "container-log-max-size": "20Ki",
        "container-log-max-files": "3",
        "container-log-monitor-interval": "3s",
    }


@pytest.fixture(scope="module")
def machine_of_its_own(stories: Shell) -> Iterator[None]:
    most = int(stories.on_node("node-1", "cat", "/proc/sys/kernel/pid_max"))  # each namespace has its own
    words = [word for flag, value in settings(most).items() for word in ("--set", f"kubelet:{flag}={value}")]
    stories.kubarium("node", "add", NODE, *words)
    yield
    stories.kubarium("node", "remove", NODE, check=False)


@pytest.fixture
def small(stories: Shell, machine_of_its_own: None) -> str:
    """The small node, switched on: one of the stories leaves it off."""
    if condition(stories, "Ready")["status"] != "True":
        stories.kubarium("node", "start", NODE)
        until(lambda: condition(stories, "Ready")["status"] == "True", what=f"{NODE} ready")
    return NODE


def condition(stories: Shell, kind: str) -> Any:
    return of_kind(stories.get("node", NODE), kind)


def calm(stories: Shell) -> None:
    """Waits until the node lets pods in again."""
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    until(lambda: all(condition(stories, kind)["status"] == "False" for kind in kinds), what="calm")


def now(stories: Shell) -> str:
    return str(stories.get("node", NODE)["metadata"]["resourceVersion"])


def states_since(stories: Shell, version: str) -> list[Any]:
    """All that the node has said of itself since then. A look misses what is over already; a watch tells it."""
    question = f"watch=1&timeoutSeconds=1&fieldSelector=metadata.name={NODE}&resourceVersion={version}"
    told = stories.kubectl("get", "--raw", f"/api/v1/nodes?{question}").splitlines()
    return [json.loads(line)["object"] for line in told]


def of_kind(node: Any, kind: str) -> Any:
    return next(one for one in node["status"]["conditions"] if one["type"] == kind)


def here(name: str, script: str, **spec: Any) -> Any:
    made = pod(name, "sh", "-c", script, nodeName=NODE, volumes=[{"name": "room", "emptyDir": {}}], **spec)
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "room", "mountPath": "/room"}]
    return made


def evicted(stories: Shell, name: str, namespace: str) -> str:
    """Waits until the pod was evicted; returns the message."""

    def status() -> Any:
        found = stories.get("pod", name, "-n", namespace)["status"]
        return found if found.get("phase") == "Failed" else None

    found = until(status, what=f"{name} evicted")
    assert found["reason"] == "Evicted"
    (target,) = (one for one in found["conditions"] if one["type"] == "DisruptionTarget")
    assert (target["status"], target["reason"]) == ("True", "TerminationByKubelet")
    return str(found["message"])


def test_taints_drive_pods_away(stories: Shell, namespace: str, small: str) -> None:
    def tolerating(name: str, *, key: str = "gone", **more: Any) -> Any:
        toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", **more}
        return here(name, "sleep 1000", tolerations=[toleration])

    calm(stories)
    stories.apply(
        tolerating("goes", key="another"),
        tolerating("soon", tolerationSeconds=2),
        tolerating("patient", tolerationSeconds=int(PATIENCE) * 2),
        tolerating("stays"),
        namespace=namespace,
    )
    stories.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    stories.kubectl("taint", "node", NODE, "gone=yes:NoExecute")
    try:
        left = {"patient", "stays"}
        until(
            lambda: {one["metadata"]["name"] for one in stories.get("pods", "-n", namespace)["items"]} == left
        )
    finally:
        stories.kubectl("taint", "node", NODE, "gone-")


def test_a_full_disk(stories: Shell, namespace: str, small: str) -> None:
    calm(stories)
    stories.apply(here("modest", "sleep 1000"), namespace=namespace)
    stories.kubectl("wait", "pod/modest", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    before = now(stories)
    stories.apply(
        here("hog", "dd if=/dev/zero of=/room/file bs=1M count=40; sleep 1000"), namespace=namespace
    )
    message = evicted(stories, "hog", namespace)
    assert message.startswith(
        "The node was low on resource: ephemeral-storage. Threshold quantity: 30Mi, available: "
    )

    def was_told() -> bool:
        said = states_since(stories, before)
        reasons = {of_kind(node, "DiskPressure")["reason"] for node in said}
        is_tainted = any("disk-pressure" in str(node["spec"].get("taints")) for node in said)
        return "KubeletHasDiskPressure" in reasons and is_tainted

    until(was_told, what="a condition and a taint")
    until(
        lambda: condition(stories, "DiskPressure")["reason"] == "KubeletHasNoDiskPressure", what="disk again"
    )
    until(
        lambda: "disk-pressure" not in str(stories.get("node", NODE)["spec"].get("taints")), what="no taint"
    )
    assert stories.get("pod", "modest", "-n", namespace)["status"]["phase"] == "Running"


def test_a_volume_over_its_limit(stories: Shell, namespace: str, small: str) -> None:
    calm(stories)
    made = here("over", "dd if=/dev/zero of=/room/file bs=1M count=5; sleep 1000")
    made["spec"]["volumes"][0]["emptyDir"] = {"sizeLimit": "2Mi"}
    stories.apply(made, namespace=namespace)
    assert evicted(stories, "over", namespace) == 'Usage of EmptyDir volume "room" exceeds the limit "2Mi". '


def test_memory_and_process_ids(stories: Shell, namespace: str, small: str) -> None:
    calm(stories)
    eater = here("eater", "dd if=/dev/zero of=/room/file bs=1M count=230; sleep 1000")
    eater["spec"]["volumes"][0]["emptyDir"] = {"medium": "Memory"}
    stories.apply(eater, namespace=namespace)
    message = evicted(stories, "eater", namespace)
    assert message.startswith("The node was low on resource: memory. Threshold quantity: 100Mi, available: ")
    assert (
        "Container main was using " in message and "request is 0, has larger consumption of memory" in message
    )
    calm(stories)
    fork = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; wait"
    stories.apply(here("forker", fork), namespace=namespace)
    assert evicted(stories, "forker", namespace).startswith("The node was low on resource: pids. ")


def test_logs_are_rotated(stories: Shell, namespace: str, small: str) -> None:
    calm(stories)
    script = (
        "i=0; while :; do i=$((i+1)); echo line $i of a log that grows and grows and grows; sleep 0.005; done"
    )
    stories.apply(here("talker", script), namespace=namespace)
    uid = until(lambda: stories.get("pod", "talker", "-n", namespace)["metadata"]["uid"])
    folder = f"/var/log/pods/{namespace}_talker_{uid}/main"

    def rotated() -> list[str]:
        """The files, when an old one is packed and there is a new one: for a moment there is none."""
        names = stories.on_node(NODE, "ls", folder, check=False).split()
        return names if "0.log" in names and any(name.endswith(".gz") for name in names) else []

    names = until(rotated, what="rotated")
    assert len([name for name in names if not name.endswith(".tmp")]) <= 3
    until(lambda: "of a log" in stories.kubectl("logs", "talker", "-n", namespace, "--tail=3"))


def test_a_node_is_shut_down_in_order(stories: Shell, namespace: str, small: str) -> None:
    calm(stories)
    # It does not hear SIGTERM: the node has its whole grace period to tell what happens.
    stories.apply(here("worker", "sleep 1000", terminationGracePeriodSeconds=5), namespace=namespace)
    stories.kubectl("wait", "pod/worker", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    before = now(stories)
    stories.kubarium("node", "shutdown", NODE)
    status = stories.get("pod", "worker", "-n", namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
    assert status["message"] == "Pod was terminated in response to imminent node shutdown."
    # By now it may be silent for so long that a controller says so.
    said = [of_kind(node, "Ready") for node in states_since(stories, before)]
    assert ("False", "node is shutting down") in [(each["status"], each["message"]) for each in said]
