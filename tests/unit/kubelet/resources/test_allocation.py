from __future__ import annotations

from pathlib import Path

from kubelet.resources.allocation import Allocated, Allocations
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

    before = make()
    before.allocate(pod("100m"))
    before.save()
    assert cpu_of(make().as_promised(pod("2"))) == "100m"


def test_what_becomes_free_goes_to_the_most_important_first(tmp_path: Path) -> None:
    pods = {
        name: make_pod(make_container(resources={"requests": {"cpu": "100m"}}), uid=name) for name in "abcd"
    }
    pods["b"]["spec"]["priority"] = 10
    pods["c"]["status"] = {"qosClass": "Guaranteed"}

    def others(uid: str) -> list[dict]:
        return [one for name, one in pods.items() if name != uid]

    allocations = Allocations(tmp_path / "file", lambda: {"cpu": "1", "memory": "1Gi"}, others)
    for one in pods.values():
        allocations.allocate(one)

    def wish(name: str, cpu: str) -> Allocated:
        wanted = make_pod(make_container(resources={"requests": {"cpu": cpu}}), uid=name)
        pods[name] = {
            **wanted,
            "spec": {**pods[name]["spec"], **wanted["spec"]},
            "status": pods[name]["status"],
        }
        return allocations.allocate(pods[name])

    assert wish("a", "700m").resized
    assert [wish(name, "600m").lacks for name in "dcb"] == ["OutOfcpu"] * 3
    assert allocations.retry() == []
    del pods["a"]
    assert allocations.retry() == ["b"]
    assert allocations.allocate(pods["b"]).resized and not allocations.allocate(pods["b"]).resized
    assert wish("b", "100m").resized and allocations.retry() == ["c"]
    allocations.forget("c")
    del pods["c"]
    assert allocations.retry() == ["d"]
