"""What is reserved of a node, what pods may ask for, and what cannot be."""

from __future__ import annotations

import dataclasses

import pytest

from kubelet import reservations
from kubelet.node import facts, machine, status
from kubelet.options import Options
from kubelet.reservations import Unreservable, cpu_numbers

WHOLE = {"cpu": 4000, "memory": 8 << 30, "ephemeral-storage": 100 << 30, "pid": 32768}


def allocatable(monkeypatch: pytest.MonkeyPatch, **given: object) -> dict[str, str]:
    found = dataclasses.replace(machine.look(), cpus=4, memory=8 << 30)
    monkeypatch.setattr(machine, "look", lambda: found)
    monkeypatch.setattr(machine, "disk", lambda path: (100 << 30, 0, 0, 0))
    gathered = facts.gather(Options(hostname_override="n", node_ip="192.0.2.1", **given), "")  # type: ignore[arg-type]
    told = status.allocatable(gathered, status.capacity(gathered))
    return {name: told[name] for name in ("cpu", "memory", "ephemeral-storage")}


def test_pods_may_ask_for_what_is_neither_reserved_nor_kept_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allocatable(monkeypatch) == {
        "cpu": "4",
        "memory": "8092Mi",
        "ephemeral-storage": "96636764000",  # as upstream, whose 10 % are 0.10000000149
    }
    assert allocatable(
        monkeypatch,
        system_reserved={"cpu": "500m", "memory": "1Gi"},
        kube_reserved={"cpu": "400m", "ephemeral-storage": "1Gi", "pid": "100"},
        eviction_hard=("nodefs.available<5Gi",),
    ) == {"cpu": "3100m", "memory": "7Gi", "ephemeral-storage": "94Gi"}


def test_cpus_by_number_count_instead_of_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = {"cpu": "1500m", "memory": "1Gi"}
    given = allocatable(monkeypatch, reserved_cpus="0,3", system_reserved=reserved, eviction_hard=())
    assert (given["cpu"], given["memory"]) == ("2", "7Gi")
    assert cpu_numbers("0-2,5") == {0, 1, 2, 5} and not cpu_numbers("")
    with pytest.raises(ValueError, match=r"invalid range \"2-1\" \(2 > 1\)"):
        cpu_numbers("2-1")
    with pytest.raises(ValueError, match="invalid syntax"):
        cpu_numbers("x")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"kube_reserved": {"gpu": "1"}},
            '--kube-reserved value failed to parse: cannot reserve "gpu" resource',
        ),
        ({"system_reserved": {"cpu": "-1"}}, 'resource quantity for "cpu" cannot be negative: -1'),
        ({"system_reserved": {"cpu": "x"}}, 'failed to parse quantity "x" for "cpu" resource: '),
        ({"reserved_cpus": "3-4"}, 'invalid cpuset "3-4" specified by --reserved-cpus'),
        (
            {"system_reserved": {"memory": "8Gi"}},
            'invalid Node Allocatable configuration. Resource "memory" has a reservation of 8292Mi but capacity of '
            "8Gi. Expected capacity >= reservation.",
        ),
    ],
)
def test_what_cannot_be_reserved(given: dict[str, object], words: str) -> None:
    reservations.check(Options(reserved_cpus="0-3"), 4, WHOLE)
    with pytest.raises(Unreservable) as refused:
        reservations.check(Options(**given), 4, WHOLE)  # type: ignore[arg-type]
    assert words in str(refused.value)
