"""Objects that kubectl makes up from a few words: as kubectl 1.36.4 shows them with `--dry-run=client`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubarium.kubectl.commands import create_data, expose, rollout, run
from kubarium.kubectl.generated import shown
from kubarium.kubectl.names import Kind
from kubarium.kubectl.session import CommandFailed


def run_flags(**more: Any) -> Any:
    return {
        "image": "busybox",
        "port": None,
        "labels": "",
        "annotations": (),
        "env": (),
        "restart": "Always",
        "image_pull_policy": "",
        "as_command": False,
        "privileged": False,
        "stdin": False,
        "terminal": False,
        "expose": False,
        "remove": False,
        "dry_run": "none",
        **more,
    }


@pytest.mark.parametrize(
    ("flags", "words", "expected"),
    [
        ({}, (), {}),
        ({"port": 80}, (), {"ports": [{"containerPort": 80}]}),
        ({}, ("a", "b"), {"args": ["a", "b"]}),
        ({"as_command": True}, ("sh",), {"command": ["sh"]}),
        ({"env": ("A=b=c",)}, (), {"env": [{"name": "A", "value": "b=c"}]}),
        ({"stdin": True, "terminal": True}, (), {"stdin": True, "stdinOnce": True, "tty": True}),
        ({"privileged": True}, (), {"securityContext": {"privileged": True}}),
    ],
)
def test_the_container_of_a_run(flags: Any, words: Any, expected: Any) -> None:
    made = run.pod_of_flags("r", words, run_flags(**flags))
    assert made["metadata"]["labels"] == {"run": "r"}
    assert made["spec"]["containers"] == [{"name": "r", "image": "busybox", **expected}]
    assert made["spec"]["dnsPolicy"] == "ClusterFirst"


@pytest.mark.parametrize(
    ("form", "patch", "path"),
    [
        ("merge", '{"spec":{"nodeName":"n"}}', "nodeName"),
        ("strategic", '{"spec":{"nodeName":"n"}}', "nodeName"),
        ("json", '[{"op":"add","path":"/spec/nodeName","value":"n"}]', "nodeName"),
    ],
)
def test_a_run_is_overridden(form: str, patch: str, path: str) -> None:
    pod = run.pod_of_flags("r", (), run_flags())
    assert run.overridden(pod, patch, form)["spec"][path] == "n"


def test_what_is_shown_has_the_empty_fields_of_go() -> None:
    pod = run.pod_of_flags("r", (), run_flags())
    made = shown(pod)
    assert made["status"] == {} and made["spec"]["containers"][0]["resources"] == {}
    assert "status" not in pod
    service = shown(expose.service_for("s", {"a": "b"}, 80))
    assert service["status"] == {"loadBalancer": {}}
    assert shown({"kind": "Namespace", "metadata": {"name": "n"}})["spec"] == {}
    job = shown({"kind": "Job", "metadata": {}, "spec": {"template": {"spec": {}}}})
    assert job["spec"]["template"]["metadata"] == {}


def expose_flags(**more: Any) -> Any:
    names = (
        "name target_port service_type protocol selector labels external_ip load_balancer_ip session_affinity"
    )
    return {**dict.fromkeys(names.split(), ""), "port": None, "cluster_ip": None, **more}


DEPLOYMENTS = Kind(
    "apps", "v1", "deployments", "deployment", "Deployment", True, frozenset(), (), (), frozenset()
)


def deployment(*ports: int) -> Any:
    containers = [{"name": "c", "ports": [{"containerPort": port, "protocol": "UDP"} for port in ports]}]
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": containers}}}
    return {"kind": "Deployment", "metadata": {"name": "web", "labels": {"l": "1"}}, "spec": spec}


@pytest.mark.parametrize(
    ("flags", "ports", "expected"),
    [
        ({"port": 80}, (), [{"port": 80, "protocol": "TCP", "targetPort": 80}]),
        ({"port": 80, "target_port": "http"}, (), [{"port": 80, "protocol": "TCP", "targetPort": "http"}]),
        ({}, (53,), [{"port": 53, "protocol": "UDP", "targetPort": 53}]),
        (
            {},
            (1, 2),
            [
                {"name": "port-1", "port": 1, "protocol": "UDP", "targetPort": 1},
                {"name": "port-2", "port": 2, "protocol": "UDP", "targetPort": 2},
            ],
        ),
    ],
)
def test_the_ports_of_what_is_exposed(flags: Any, ports: Any, expected: Any) -> None:
    made = expose.service_of(deployment(*ports), DEPLOYMENTS, expose_flags(**flags))
    assert made["spec"] == {"selector": {"app": "web"}, "ports": expected}
    assert made["metadata"] == {"name": "web", "labels": {"l": "1"}}


def test_without_a_port_nothing_can_be_exposed() -> None:
    with pytest.raises(CommandFailed, match="couldn't find port via --port flag or introspection"):
        expose.service_of(deployment(), DEPLOYMENTS, expose_flags())


def test_values_come_from_words_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "e.env").write_text("A=1\n# no\n\nB=x y\n")
    found = create_data.data_of(["q='1'", "p=a=b"], [str(tmp_path / "a.txt"), f"k={tmp_path / 'a.txt'}"], ())
    assert found == {"a.txt": b"one\n", "k": b"one\n", "q": b"1", "p": b"a=b"}
    assert create_data.data_of((), (), [str(tmp_path / "e.env")]) == {"A": b"1", "B": b"x y"}
    made = create_data.config_map("c", {"t": b"x", "b": b"\xff"})
    assert (made["data"], made["binaryData"]) == ({"t": "x"}, {"b": "/w=="})
    for literals, files, words in (
        (["a"], (), "invalid literal source a, expected key=value"),
        (["a=1", "a=2"], (), 'cannot add key "a", another key by that name already exists'),
        ((), ["nosuch"], "error reading nosuch: no such file or directory"),
    ):
        with pytest.raises(CommandFailed, match=words):
            create_data.data_of(literals, files, ())


def test_revisions_of_all_workloads_tell_their_pods() -> None:
    template: Any = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    replica_set = {"spec": {"template": template}}
    controller_revision = {"data": {"spec": {"template": {**template, "$patch": "replace"}}}, "revision": 1}
    assert rollout.template_of(replica_set) == rollout.template_of(controller_revision) == template


def stateful_set(**state: Any) -> Any:
    spec = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
    metadata = {"name": "db", "generation": 1}
    return {
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": spec,
        "status": {"observedGeneration": 1, **state},
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"readyReplicas": 1}, ("Waiting for 2 pods to be ready...", False)),
        (
            {"readyReplicas": 3, "updatedReplicas": 1},
            ("Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...", False),
        ),
        (
            {"readyReplicas": 3, "updatedReplicas": 2},
            ("partitioned roll out complete: 2 new pods have been updated...", True),
        ),
    ],
)
def test_how_far_a_stateful_set_is(state: Any, expected: tuple[str, bool]) -> None:
    assert rollout.progress(stateful_set(**state)) == expected
