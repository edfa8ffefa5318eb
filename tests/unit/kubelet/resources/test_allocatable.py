"""What is written for all pods at once, and for those who are no pods."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.guardians import reserved_cgroups
from kubelet.options import Options
from kubelet.resources.allocatable import Allocatable
from kubelet.resources.cgroups import Cgroups

OPTIONS = Options(
    enforce_node_allocatable=("pods", "system-reserved"),
    system_reserved={"cpu": "500m"},
    system_reserved_cgroup="/system",
    kube_reserved={"cpu": "1"},
    kube_reserved_cgroup="/kube",
)


async def test_a_reserved_cgroup_must_be_there(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "kubepods/burstable").mkdir(parents=True)
    said: list[tuple[str, str, str]] = []
    made = Allocatable(
        Cgroups("/", tmp_path),
        clock,
        cpus=2,
        memory=1 << 30,
        reserved={},
        enforced=True,
        others=reserved_cgroups(OPTIONS),
        pods=list,
        tell=lambda *words: said.append(words),
    )
    with pytest.raises(FileNotFoundError):
        await made.run()
    text = 'Failed to enforce System Reserved Cgroup Limits on "/system": "/system" cgroup does not exist'
    assert said[-1] == ("Warning", "FailedNodeAllocatableEnforcement", text)
    (tmp_path / "system").mkdir()
    running = asyncio.create_task(made.run())
    await clock.advance(1)
    running.cancel()
    assert said[-1][1:] == ("NodeAllocatableEnforced", "Updated limits on system reserved cgroup /system")
    assert (tmp_path / "system/cpu.weight").read_text() == "20"
