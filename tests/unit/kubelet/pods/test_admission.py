from __future__ import annotations

from typing import Any

import pytest

from kubelet.pods.admission import refuse
from tests.unit.kubelet.making import make_container, make_pod

NODE = {
    "metadata": {"name": "node-1", "labels": {"disk": "ssd"}},
    "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "3"}},
}


def pod(port: int = 0, cpu: str = "", uid: str = "1", **spec: Any) -> dict:
    fields: dict = {"ports": [{"containerPort": 80, "hostPort": port}]} if port else {}
    if cpu:
        fields["resources"] = {"requests": {"cpu": cpu}}
    return make_pod(make_container(**fields), uid=uid, **spec)


@pytest.mark.parametrize(
    ("wanted", "others", "reason"),
    [
        (pod(), [], None),
        (pod(80), [pod(80, uid="2")], "NodePorts"),
        (pod(80), [pod(81, uid="2")], None),
        (pod(cpu="600m"), [pod(cpu="500m", uid="2")], "OutOfcpu"),
        (pod(), [pod(uid=str(n)) for n in range(3)], "OutOfpods"),
        (pod(nodeSelector={"disk": "hdd"}), [], "NodeAffinity"),
        (pod(nodeSelector={"disk": "ssd"}), [], None),
        (pod(os={"name": "linux"}), [], None),
        (pod(os={"name": "windows"}), [], "PodOSNotSupported"),
    ],
)
def test_refusals(wanted: dict, others: list[dict], reason: str | None) -> None:
    refusal = refuse(wanted, others, NODE)
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"supplementalGroupsPolicy": "Merge"}, None),
        ({"supplementalGroupsPolicy": "Strict"}, "SupplementalGroupsPolicyNotSupported"),
        ({"appArmorProfile": {"type": "RuntimeDefault"}}, "AppArmor"),
        ({"appArmorProfile": {"type": "Unconfined"}}, None),
    ],
)
def test_what_nobody_here_would_enforce(
    context: dict, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubelet.pods.admission.has_apparmor", lambda: False)
    status = {**NODE["status"], "features": {"supplementalGroupsPolicy": False}}
    refusal = refuse(pod(securityContext=context), [], {**NODE, "status": status})
    assert (refusal.reason if refusal else None) == reason


def test_the_message_is_upstreams() -> None:
    refusal = refuse(pod(cpu="600m"), [pod(cpu="500m", uid="2")], NODE)
    assert refusal is not None and refusal.message == (
        "Node didn't have enough resource: cpu, requested: 600, used: 500, capacity: 1000"
    )


def test_a_critical_pod_is_told_what_no_room_would_change() -> None:
    wanted = {"cpu": "2", "nodeSelector": {"disk": "hdd"}}
    plain, critical = refuse(pod(**wanted), [], NODE), refuse(pod(**wanted, priority=2 * 10**9), [], NODE)
    assert plain and (plain.reason, plain.missing) == ("OutOfcpu", {"cpu": 1000})
    assert critical and (critical.reason, critical.missing) == ("NodeAffinity", {})


def test_static_pods_tolerate_all_taints() -> None:
    taint = {"key": "a", "effect": "NoExecute"}
    tainted = {**NODE, "spec": {"taints": [taint]}}
    refusal = refuse(pod(), [], tainted)
    assert refusal is not None and refusal.reason == "TaintToleration"
    static = pod()
    static["metadata"]["annotations"] = {"kubernetes.io/config.source": "file"}
    assert refuse(static, [], tainted) is None
    static["metadata"]["labels"] = {"kubernetes.io/os": "windows"}
    refusal = refuse(static, [], NODE)
    assert refusal is not None and refusal.reason == "PodOSSelectorNodeLabelDoesNotMatch"
