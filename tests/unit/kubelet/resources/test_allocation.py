from __future__ import annotations

from pathlib import Path

from kubelet.resources.allocation import Allocations
from tests.unit.kubelet.making import make_container, make_pod


def pod(cpu: str, uid: str = "1") -> dict:
    return make_pod(make_container(resources={"requests": {"cpu": cpu}}), uid=uid)


def cpu_of(pod: dict) -> str:
    amount: str = pod["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    return amount


def test_a_wish_is_promised_if_it_can_be_had(tmp_path: Path) -> None:
    others = [pod("500m", "2")]
    allocations = Allocations(tmp_path / "file", lambda: {"cpu": "1", "memory": "1Gi"}, lambda uid: others)
    allocations.allocate(pod("100m"))
    assert cpu_of(allocations.allocate(pod("300m")).pod) == "300m"
    deferred = allocations.allocate(pod("600m"))
    assert cpu_of(deferred.pod) == "300m" and deferred.pending is not None
    assert (deferred.pending["reason"], deferred.pending["message"]) == (
        "Deferred",
        "Node didn't have enough resource: cpu, requested: 600, used: 500, capacity: 1000",
    )
    infeasible = allocations.allocate(pod("2"))
    assert infeasible.pending is not None and infeasible.pending["reason"] == "Infeasible"
    others.clear()
    assert allocations.allocate(pod("600m")).pending is None


def test_promises_survive_a_restart(tmp_path: Path) -> None:
    def make() -> Allocations:
        return Allocations(tmp_path / "file", lambda: {"cpu": "1"}, lambda uid: [])

    make().allocate(pod("100m"))
    assert cpu_of(make().as_promised(pod("2"))) == "100m"
