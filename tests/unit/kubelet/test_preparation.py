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
