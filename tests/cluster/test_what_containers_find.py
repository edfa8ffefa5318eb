"""What a container finds when it starts, and pods that must not start: said by the containers themselves.

The tables have what upstream's conformance tests of security contexts, commands, variables and /etc/hosts ask for.
"""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from tests.cluster import said
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import pod

pytestmark = pytest.mark.cluster


def test_containers_say_what_they_find(stories: Shell, namespace: str) -> None:
    stories.apply(said.service(), namespace=namespace)
    stories.apply(*said.objects(), namespace=namespace)
    address = stories.get("service", "fooservice", "-n", namespace)["spec"]["clusterIP"]

    def all_ended() -> bool:
        found = stories.get("pods", "-n", namespace)["items"]
        return all(one["status"]["phase"] in ("Succeeded", "Failed") for one in found)

    until(all_ended, what="all have said what they found")
    for name, (rows, _) in said.PODS.items():
        wanted = {row.name: row.said.replace("ADDRESS", address) for row in rows}
        until(
            lambda name=name, wanted=wanted: _says(stories, namespace, name, wanted), what=f"what {name} says"
        )


def _says(stories: Shell, namespace: str, name: str, wanted: dict[str, str]) -> bool:
    said_now = _last_lines(stories, namespace, name)
    assert {key: text for key, text in said_now.items() if wanted[key] != text} == {}
    return True


def _last_lines(stories: Shell, namespace: str, name: str) -> dict[str, str]:
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
    rows, _ = said.PODS[name]

    async def read(client: Client) -> dict[str, str]:
        texts = [await client.request("GET", path, query={"container": row.name}) for row in rows]
        return {
            row.name: text.strip().splitlines()[-1].strip() for row, text in zip(rows, texts, strict=True)
        }

    return dict(stories.ask(read))


def expands(name: str, **variables: Any) -> Any:
    """A pod that wants a folder of a volume whose name comes from its variables."""
    made = pod(name, "sleep", "1000")
    made["spec"]["volumes"] = [said.WORK]
    main = made["spec"]["containers"][0]
    main["env"] = [{"name": key, **value} for key, value in variables.items()]
    expression = "/".join(f"$({key})" for key in variables)
    main["volumeMounts"] = [
        {"name": "work", "mountPath": "/below", "subPathExpr": expression},
        {"name": "work", "mountPath": "/work"},
    ]
    return made


def of_class(name: str, **spec: Any) -> list[Any]:
    """A class, and a pod of it."""
    about = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}}
    return [about | spec, pod(name, "sleep", "1000", runtimeClassName=name)]


NOTED = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['folder']"}}}
OVERHEAD = {"cpu": "10m", "memory": "1Mi"}
NO_CONFIG = "CreateContainerConfigError"
# What each waits for; the pod is named in brackets.
WAITING = {
    "absolute": (NO_CONFIG, "error SubPath `/tmp` must not be an absolute path"),
    "upwards": (NO_CONFIG, "unable to provision SubPath `..`: must not contain '..'"),
    "later": (NO_CONFIG, ""),
    "root": (NO_CONFIG, "container has runAsNonRoot and image will run as root (pod: "),
    "zero": (NO_CONFIG, "container's runAsUser breaks non-root policy (pod: "),
    "unknown": ("ContainerCreating", ""),
}
REFUSED = {
    "sysctl": ("SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
    "windows": ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
}


def test_what_must_not_start(stories: Shell, namespace: str) -> None:
    known, unknown = f"{namespace}-known", f"{namespace}-unknown"
    stories.apply(
        expands("absolute", NAME={"value": "/tmp"}),
        expands("upwards", NAME={"value": ".."}),
        expands("later", FOLDER=NOTED, NAME={"value": "a-pod"}),
        pod("root", "sleep", "1000", securityContext={"runAsNonRoot": True}),
        pod("zero", "sleep", "1000", securityContext={"runAsNonRoot": True, "runAsUser": 0}),
        pod(
            "sysctl", "sleep", "1", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "10000"}]}
        ),
        pod("windows", "sleep", "1", os={"name": "windows"}),
        *of_class(known, handler="runc", overhead={"podFixed": OVERHEAD}),
        *of_class(unknown, handler="nobodys"),
        namespace=namespace,
    )
    try:
        until(lambda: _have_not_started(stories, namespace, unknown), what="pods that must not start")
        stories.kubectl("wait", f"pod/{known}", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
        assert stories.get("pod", known, "-n", namespace)["spec"]["overhead"] == OVERHEAD
        assert "overhead" not in stories.get("pod", unknown, "-n", namespace)["spec"]
        _can_be_mended(stories, namespace)
    finally:
        stories.kubectl("delete", "runtimeclass", known, unknown)
    bad = [{"name": name, "value": "1"} for name in ("foo-", "kernel.shmmax", "bar..")]
    why = _refusal(stories, namespace, securityContext={"sysctls": bad})
    assert 'Invalid value: "foo-"' in why and 'Invalid value: "bar.."' in why and "shmmax" not in why
    # It was there a moment ago.
    gone = f'pod rejected: RuntimeClass "{known}" not found'
    until(lambda: gone in _refusal(stories, namespace, runtimeClassName=known), what=gone)


def _have_not_started(stories: Shell, namespace: str, unknown: str) -> bool:
    pods = {one["metadata"]["name"]: one["status"] for one in stories.get("pods", "-n", namespace)["items"]}
    for name, (reason, message) in WAITING.items():
        status = pods[unknown if name == "unknown" else name]
        waiting = status["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == reason and message in waiting.get("message", ""), (name, waiting)
        assert status["phase"] == "Pending"
    for name, (reason, message) in REFUSED.items():
        status = pods[name]
        assert (status["phase"], status["reason"]) == ("Failed", reason), (name, status)
        assert message in status["message"], status["message"]
    events = stories.get("events", "-n", namespace)["items"]
    texts = [one["message"] for one in events if one["reason"] == "FailedCreatePodSandBox"]
    assert any("nobodys" in text for text in texts), texts
    return True


def _can_be_mended(stories: Shell, namespace: str) -> None:
    """A folder's name may become known later; once it is in use, it stays."""
    stories.kubectl("annotate", "pod", "later", "folder=first", "-n", namespace)
    stories.kubectl("wait", "pod/later", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    stories.kubectl("annotate", "pod", "later", "folder=second", "--overwrite", "-n", namespace)
    inside = ("exec", "later", "-n", namespace, "--", "sh", "-c")
    assert stories.kubectl(*inside, "echo x > /work/first/a-pod/here; cat /below/here") == "x\n"
    stories.kubectl("delete", "pod", "later", "-n", namespace)


def _refusal(stories: Shell, namespace: str, **spec: Any) -> str:
    """What the API server says to such a pod."""

    async def create(client: Client) -> str:
        with pytest.raises(errors.StatusError) as caught:
            await client.resource("v1", "pods").create(pod("bad", "true", **spec), namespace, dry_run=True)
        return str(caught.value)

    return str(stories.ask(create))
