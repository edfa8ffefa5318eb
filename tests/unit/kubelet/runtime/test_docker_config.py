"""What the Docker Engine is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from kubelet.runtime import docker_config as words

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default", "uid": "uid-1", "attempt": 2},
    "log_directory": "/var/log/pods/default_web_uid-1",
    "linux": {"cgroup_parent": "/kubepods/poduid-1"},
}


def container(**more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "main", "attempt": 3}, "image": {"image": "sha256:1"}, **more}


def security(**context: Any) -> dict[str, Any]:
    return container(linux={"security_context": context})


def host_config(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = words.container_body("box", config, POD)["HostConfig"]
    return found


def test_names_tell_whose_a_container_is() -> None:
    name = words.container_name(container(), POD)
    assert words.parse_name(f"/{name}") == ("main", "web", "default", "uid-1", 3)
    assert words.parse_name("/" + words.sandbox_name(POD["metadata"])) == (
        "POD",
        "web",
        "default",
        "uid-1",
        2,
    )
    assert words.parse_name("/someone-elses") == ("", "", "", "", 0)


def test_a_container_lives_in_its_sandbox() -> None:
    host = host_config(security(namespace_options={"network": "POD", "ipc": "POD", "pid": "CONTAINER"}))
    assert (host["NetworkMode"], host["IpcMode"], host["PidMode"]) == ("container:box", "container:box", "")
    host = host_config(security(namespace_options={"network": "NODE", "pid": "TARGET", "target_id": "other"}))
    assert (host["NetworkMode"], host["UTSMode"], host["PidMode"]) == ("host", "host", "container:other")
    assert host["CgroupParent"] == "/kubepods/poduid-1"


def test_the_image_says_what_to_run_unless_the_pod_does() -> None:
    assert not {"Entrypoint", "Cmd"} & words.container_body("box", container(), POD).keys()
    body = words.container_body("box", container(command=["sh"], args=["-c", "true"]), POD)
    assert (body["Entrypoint"], body["Cmd"]) == (["sh"], ["-c", "true"])


def test_annotations_are_kept_among_the_labels() -> None:
    labels = words.container_body("box", container(labels={"a": "b"}, annotations={"c": "d"}), POD)["Labels"]
    assert words.own_labels(labels) == {"a": "b", words.CONTAINER_NAME: "main"}
    assert words.annotations_of(labels) == {"c": "d"}


def test_limits_in_other_words() -> None:
    limits = {"cpu_shares": 102, "memory_limit_in_bytes": 1 << 20, "memory_swap_limit_in_bytes": 1 << 20}
    assert words.resources(limits) == {"CpuShares": 102, "Memory": 1 << 20, "MemorySwap": 1 << 20}


def test_users_and_groups() -> None:
    body = words.container_body(
        "box", security(run_as_user={"value": 0}, run_as_group={"value": 7}, supplemental_groups=[9]), POD
    )
    assert (body["User"], body["HostConfig"]["GroupAdd"]) == ("0:7", ["9"])
    assert words.container_body("box", security(run_as_username="www"), POD)["User"] == "www"


def test_seccomp_profiles_are_sent_as_text() -> None:
    own = security(seccomp={"profile_type": "Localhost", "localhost_ref": "/profiles/own.json"})
    assert words.seccomp_file(own) == "/profiles/own.json"
    body = words.container_body("box", own, POD, '{"defaultAction":"SCMP_ACT_ALLOW"}')
    assert body["HostConfig"]["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
    assert host_config(security(seccomp={"profile_type": "RuntimeDefault"}))["SecurityOpt"] == []


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("someone/thing", "docker.io/someone/thing:latest"),
        ("localhost/nginx:1", "localhost/nginx:1"),
        ("localhost:5000/nginx", "localhost:5000/nginx:latest"),
        ("a.example/b@sha256:00", "a.example/b@sha256:00"),
        ("sha256:00", "sha256:00"),
    ],
)
def test_full_names(short: str, full: str) -> None:
    assert words.full_name(short) == full
