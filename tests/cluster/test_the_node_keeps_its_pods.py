"""What the kubelet promises for the pods of its node, seen on real containers."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, pod

pytestmark = pytest.mark.cluster

STATIC = """
apiVersion: v1
kind: Pod
metadata: {name: static}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "busybox:latest", imagePullPolicy: IfNotPresent, command: [sleep, "1000"]}]
"""


def ready(stories: Shell, name: str, namespace: str) -> Any:
    stories.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    return stories.get("pod", name, "-n", namespace)


def first(stories: Shell, name: str, namespace: str) -> Any:
    return stories.get("pod", name, "-n", namespace)["status"]["containerStatuses"][0]


@pytest.mark.parametrize("program", ["kubelet", "containerd"])
def test_a_killed_program_leaves_containers_alone(stories: Shell, namespace: str, program: str) -> None:
    stories.apply(pod("steady", "sleep", "1000"), namespace=namespace)
    node = ready(stories, "steady", namespace)["spec"]["nodeName"]
    before = first(stories, "steady", namespace)
    stories.kill(f"{node}/{program}")
    # A new pod on that node shows that the program is back and has seen what runs.
    stories.apply(pod("later", "sleep", "1000", nodeName=node), namespace=namespace)
    ready(stories, "later", namespace)
    after = first(stories, "steady", namespace)
    assert (after["containerID"], after["restartCount"], after["ready"]) == (before["containerID"], 0, True)
    assert stories.kubectl("exec", "steady", "-n", namespace, "--", "echo", "here") == "here\n"


def has_said(word: str) -> Any:
    """A probe that is patient: on a slow machine a container may take its time to say anything."""
    command = ["grep", word, "/log/all"]
    return {"exec": {"command": command}, "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 60}


def test_a_sidecar_starts_before_and_ends_after(stories: Shell, namespace: str) -> None:
    say = "trap 'echo {0} ends >> /log/all; exit 0' TERM; echo {0} starts >> /log/all; while :; do sleep 0.1; done"
    mount = {"name": "log", "mountPath": "/log"}
    made = pod(
        "pair", "sh", "-c", say.format("main"), volumes=[{"name": "log", "hostPath": {"path": "/tmp/pair"}}]
    )
    made["spec"]["volumes"][0]["hostPath"]["type"] = "DirectoryOrCreate"
    made["spec"]["terminationGracePeriodSeconds"] = 60
    made["spec"]["containers"][0] |= {"volumeMounts": [mount], "readinessProbe": has_said("main")}
    side = {"name": "side", "restartPolicy": "Always", "command": ["sh", "-c", say.format("side")]}
    side |= {"image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "volumeMounts": [mount]}
    side["startupProbe"] = has_said("side")
    made["spec"]["initContainers"] = [side]
    stories.apply(made, namespace=namespace)
    node = ready(stories, "pair", namespace)["spec"]["nodeName"]
    stories.kubectl("delete", "pod", "pair", "-n", namespace)
    lines = stories.on_node(node, "cat", "/tmp/pair/all").splitlines()
    assert lines == ["side starts", "main starts", "main ends", "side ends"]


def test_a_pod_keeps_to_its_security_context(stories: Shell, namespace: str) -> None:
    script = "id -u; id -g; id -G; cat /proc/sys/kernel/shm_rmid_forced; touch /file; "
    script += "grep -E 'CapEff|NoNew' /proc/self/status"
    made = pod("guarded", "sh", "-c", f"({script}) 2>&1; sleep 1000")
    made["spec"]["securityContext"] = {
        "runAsUser": 1000,
        "runAsGroup": 3000,
        "fsGroup": 2000,
        "sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}],
    }
    made["spec"]["containers"][0]["securityContext"] = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    stories.apply(made, namespace=namespace)
    ready(stories, "guarded", namespace)
    text = until(
        lambda: (said := stories.kubectl("logs", "guarded", "-n", namespace)).count("\n") >= 7 and said
    )
    assert text.splitlines()[:4] == ["1000", "3000", "3000 2000", "1"]
    assert (
        "Read-only file system" in text and "NoNewPrivs:\t1" in text and "CapEff:\t0000000000000000" in text
    )


def test_a_running_pod_is_resized(stories: Shell, namespace: str) -> None:
    def resources(cpu: str, memory: str) -> Any:
        return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}

    made = pod("growing", "sleep", "1000")
    made["spec"]["containers"][0]["resources"] = resources("100m", "32Mi")
    stories.apply(made, namespace=namespace)
    ready(stories, "growing", namespace)
    body = {"spec": {"containers": [{"name": "main", "resources": resources("200m", "64Mi")}]}}
    patch_resize(stories, namespace, "growing", body)
    until(lambda: first(stories, "growing", namespace)["allocatedResources"]["memory"] == "64Mi")
    limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    inside = ("exec", "growing", "-n", namespace, "--", "sh", "-c", f"{limit}; true")
    until(lambda: stories.kubectl(*inside) == f"{64 << 20}\n")
    assert first(stories, "growing", namespace)["restartCount"] == 0


def patch_resize(stories: Shell, namespace: str, name: str, body: Any) -> None:
    """The bundled client has no `--subresource`: ask the API itself."""

    async def patch() -> None:
        async with Client(kubeconfig.load(str(stories.kubeconfig))) as client:
            pods = client.resource("v1", "pods")
            await pods.patch(name, body, namespace, type="strategic", subresource="resize")

    anyio.run(patch)


def test_a_static_pod_needs_no_api_server(stories: Shell) -> None:
    manifest = "/etc/kubernetes/manifests/static.yaml"
    stories.on_node(
        "node-2", "sh", "-c", f"mkdir -p /etc/kubernetes/manifests && cat > {manifest} <<'END'{STATIC}END"
    )
    try:
        first_uid = until(lambda: uid_when_ready(stories, "static-node-2"), what="static pod ready")
        stories.kubectl("delete", "pod", "static-node-2", "--no-wait")
        until(
            lambda: uid_when_ready(stories, "static-node-2") not in ("", first_uid), what="another mirror pod"
        )
    finally:
        stories.on_node("node-2", "rm", manifest)
    until(lambda: "static-node-2" not in stories.kubectl("get", "pods"))


def uid_when_ready(stories: Shell, name: str) -> str:
    """The uid of a pod that is ready; of one that is not, nothing."""
    found = stories.get("pod", name)
    is_ready = any(
        one["type"] == "Ready" and one["status"] == "True" for one in found["status"]["conditions"]
    )
    return str(found["metadata"]["uid"]) if is_ready else ""
