"""The programs of a node die again and again while pods come and go: nothing runs twice, is lost or is left behind."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, pod

pytestmark = pytest.mark.cluster

NODE = "node-1"
ROUNDS = 2


def with_init(name: str) -> Any:
    made = pod(name, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done", nodeName=NODE)
    init = {"name": "first", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "0.3"]}
    made["spec"] |= {"initContainers": [init], "volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]}
    return made


def was_restarted(status: Any) -> bool:
    """Did it run once more than needed?

    A runtime gives up a start when the kubelet that asked for it is killed, and it may lose what it was starting, or an
    exit code, when it is killed itself: what is left has ended and is counted, by upstream as well.
    """
    ended = status["lastState"].get("terminated") or {}
    never_ran = ended.get("startedAt") == "1970-01-01T00:00:00Z"
    return status["restartCount"] > 0 and not never_ran and ended.get("reason") != "Unknown"


def containers(stories: Shell, name: str, namespace: str) -> list[Any]:
    status = stories.get("pod", name, "-n", namespace)["status"]
    return [*status["initContainerStatuses"], *status["containerStatuses"]]


def runs(stories: Shell, name: str, namespace: str) -> list[tuple[str, int]]:
    return [(one["containerID"], one["restartCount"]) for one in containers(stories, name, namespace)]


def told(stories: Shell, name: str, namespace: str) -> list[str]:
    """What the events of a pod say, the oldest first: only they know why something was begun anew."""
    events = stories.get("events", "-n", namespace, "--field-selector", f"involvedObject.name={name}")[
        "items"
    ]
    return [f"{one['lastTimestamp']} {one['reason']}: {one['message']}" for one in events]


def sandbox_was_lost(stories: Shell, name: str, namespace: str, since: str) -> bool:
    """Did the runtime say after that moment that the pod's sandbox is not ready?

    One that comes back on a busy machine gives up a sandbox whose shim does not answer within ten seconds. Then
    everything of the pod begins anew, init containers as well, by upstream's kubelet, too.
    """
    return any(
        line.partition(" ")[0] >= since and " SandboxChanged: " in line
        for line in told(stories, name, namespace)
    )


def ready(stories: Shell, name: str, namespace: str) -> None:
    stories.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=300s", "-n", namespace)


def left_behind(stories: Shell, uids: set[str]) -> list[str]:
    """Uids of pods that are gone and of which the node still has something."""
    script = (
        "ls /var/lib/kubelet/pods; grep -o 'kubelet/pods/[0-9a-f-]*' /proc/self/mountinfo | cut -d/ -f3; "
    )
    script += "find /sys/fs/cgroup -type d -name 'pod*-*' | grep /node-1/ | sed 's,.*/pod,,'; echo end"
    there = stories.on_node(NODE, "sh", "-c", script)
    assert there.endswith("end\n")
    return [uid for uid in uids if uid in there]


def test_a_node_whose_programs_die(stories: Shell, namespace: str) -> None:
    chance = random.Random(7)
    stories.apply(with_init("steady"), namespace=namespace)
    ready(stories, "steady", namespace)
    before = runs(stories, "steady", namespace)
    assert [count for _, count in before] == [0, 0]
    gone: set[str] = set()
    for number in range(ROUNDS):
        stories.apply(with_init(f"stays-{number}"), with_init(f"goes-{number}"), namespace=namespace)
        program = chance.choice(["kubelet", "containerd"])
        stories.kill(f"{NODE}/{program}")
        ready(stories, f"goes-{number}", namespace)
        gone.add(stories.get("pod", f"goes-{number}", "-n", namespace)["metadata"]["uid"])
        stories.kubectl("delete", "pod", f"goes-{number}", "--no-wait", "-n", namespace)
        stories.kill(f"{NODE}/kubelet")
    kept = {"steady", *(f"stays-{number}" for number in range(ROUNDS))}
    # Only a kubelet that is back can have ended them: what it says of the others then is what it found.
    until(
        lambda: {one["metadata"]["name"] for one in stories.get("pods", "-n", namespace)["items"]} == kept,
        what="deleted pods are gone",
    )
    for name in kept:
        ready(stories, name, namespace)
        again = [
            one
            for one in containers(stories, name, namespace)
            if was_restarted(one)
            and not sandbox_was_lost(stories, name, namespace, one["lastState"]["terminated"]["startedAt"])
        ]
        assert not again, (name, again, told(stories, name, namespace))
    assert runs(stories, "steady", namespace) == before or sandbox_was_lost(stories, "steady", namespace, "")
    until(lambda: not left_behind(stories, gone), what="nothing is left behind")
