"""What a kubelet asks of its machine."""

from __future__ import annotations

import dataclasses

import pytest

from kubelet import preparation
from kubelet.node import machine
from kubelet.options import Options


def test_swap_must_be_off_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.look()
    monkeypatch.setattr(machine, "look", lambda: dataclasses.replace(found, swap=2**30))
    with pytest.raises(preparation.UnfitMachine, match="running with swap on is not supported"):
        preparation.check(Options())
    preparation.check(Options(fail_swap_on=False))
    monkeypatch.setattr(machine, "look", lambda: dataclasses.replace(found, swap=0))
    preparation.check(Options())


def test_nothing_is_aligned_on_several_numa_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dataclasses.replace(machine.look(), swap=0)
    monkeypatch.setattr(machine, "look", lambda: found)
    monkeypatch.setattr(machine, "numa_nodes", lambda: 1)
    preparation.check(Options(topology_manager_policy="restricted"))
    monkeypatch.setattr(machine, "numa_nodes", lambda: 2)
    with pytest.raises(preparation.UnfitMachine, match="restricted is not supported"):
        preparation.check(Options(topology_manager_policy="restricted"))
    preparation.check(Options())
