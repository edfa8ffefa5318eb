"""What `kubectl debug` makes: containers to look with, copies of pods, pods on nodes. Compared with kubectl 1.36."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubarium.kubectl import debug_profiles
from kubarium.kubectl.commands import debug
from kubarium.kubectl.session import CommandFailed


def flags(**given: Any) -> dict[str, Any]:
    """The flags of the command, those not given as they are by default."""
    context = debug.debug.make_context("debug", ["p"], resilient_parsing=True)
    return dict(context.params) | {"images": (), "variables": ()} | given


def pod() -> Object:
    """A pod of two containers that runs on a node."""
    probe = {"exec": {"command": ["true"]}}
    probes = {"livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe}
    a = {"name": "a", "image": "busybox", "command": ["sleep"], "args": ["9"], **probes}
    spec = {
        "nodeName": "n1",
        "containers": [a, {"name": "b", "image": "busybox"}],
        "initContainers": [{"name": "i", "image": "busybox"}],
        "ephemeralContainers": [{"name": "e", "image": "busybox"}],
    }
    metadata = {"name": "p", "namespace": "ns", "uid": "1", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def test_a_container_to_look_with() -> None:
    given = flags(image="busybox", stdin=True, variables=("A=b=c",))
    container = debug.debugger(("sh",), given)
    assert container["name"].startswith("debugger-") and container["command"] == ["sh"]
    assert container["env"] == [{"name": "A", "value": "b=c"}]
    assert debug.debugger(("sh",), given | {"arguments_only": True})["args"] == ["sh"]
    general = debug_profiles.with_rights(container, "general")
    assert general["securityContext"] == {"capabilities": {"add": ["SYS_PTRACE"]}}
    assert debug_profiles.with_rights(container, "sysadmin")["securityContext"] == {"privileged": True}
    assert "securityContext" not in debug_profiles.with_rights(container, "baseline")


def test_a_debugger_on_a_node_sees_all_of_it() -> None:
    made = debug_profiles.on_node("n1", "x", {"name": "debugger"}, "general")
    assert made["spec"]["hostPID"] and made["spec"]["nodeName"] == "n1"
    mounts = [{"name": "host-root", "mountPath": "/host"}]
    assert made["spec"]["containers"] == [{"name": "debugger", "volumeMounts": mounts}]
    netadmin = debug_profiles.on_node("n1", "x", {"name": "debugger"}, "netadmin")["spec"]
    assert netadmin["hostPID"] and "volumes" not in netadmin
    assert "hostPID" not in debug_profiles.on_node("n1", "x", {"name": "debugger"}, "restricted")["spec"]


def test_a_copy_with_a_debugger_is_for_looking_only() -> None:
    container = {"name": "debugger", "image": "busybox:1"}
    made = debug_profiles.copy_of(pod(), container, flags(copy_to="q", keep_liveness=True))
    assert made["metadata"] == {"name": "q", "namespace": "ns"}
    spec = made["spec"]
    assert spec["shareProcessNamespace"] and not {"nodeName", "ephemeralContainers"} & spec.keys()
    first, _, added = spec["containers"]
    assert "livenessProbe" in first and not {"readinessProbe", "startupProbe"} & first.keys()
    assert added["securityContext"]["capabilities"] == {"add": ["SYS_PTRACE"]}
    kept = flags(
        copy_to="q", same_node=True, keep_labels=True, share_processes=False, keep_init_containers=False
    )
    made = debug_profiles.copy_of(pod(), container, kept)
    assert made["metadata"]["labels"] == {"a": "b"} and "annotations" not in made["metadata"]
    assert made["spec"]["nodeName"] == "n1" and made["spec"]["shareProcessNamespace"] is False
    assert "initContainers" not in made["spec"]


def test_a_copy_with_another_command_in_a_container() -> None:
    container = debug.debugger(("sh",), flags(container="a"))
    first, second = debug_profiles.copy_of(pod(), container, flags(copy_to="q"))["spec"]["containers"]
    assert (first["image"], first["command"]) == ("busybox", ["sh"]) and "args" not in first
    assert second == {"name": "b", "image": "busybox"}
    with pytest.raises(CommandFailed):
        debug_profiles.copy_of(pod(), {"name": "nope", "image": ""}, flags(copy_to="q"))


def test_a_copy_with_other_images_is_the_pod_as_it_was() -> None:
    made = debug_profiles.copy_of(pod(), None, flags(copy_to="q", images=("*=busybox:2", "b=busybox:3")))
    assert made["metadata"]["labels"] == {"a": "b"} and "shareProcessNamespace" not in made["spec"]
    images = [each["image"] for each in made["spec"]["containers"]]
    assert images == ["busybox:2", "busybox:3"] and "livenessProbe" in made["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "you must specify --image when not using --copy-to."),
        ({"copy_to": "q"}, "you must specify --image, --set-image or command arguments."),
        ({"images": ("a=b",)}, "--set-image may only be used with --copy-to."),
        ({"image": "x", "same_node": True}, "--same-node may only be used with --copy-to."),
        ({"image": "x", "profile": "foo"}, "unknown profile: foo"),
    ],
)
def test_flags_that_do_not_go_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        debug.check((), flags(**given))
    assert str(refused.value) == said
