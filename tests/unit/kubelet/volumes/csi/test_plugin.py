"""The CSI plug-in with a driver that only takes notes, and mounts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.volumes.csi.drivers import UnknownDriver
from kubelet.volumes.csi.node_client import STAGE
from kubelet.volumes.plugin import VolumeError
from kubelet.volumes.plugins.csi import CSI
from tests.unit.kubelet.making import make_pod

UNIQUE = "kubernetes.io/csi/d^h"


class Quiet:
    """Nobody is told."""

    def event(self, *_: Any, **__: Any) -> None: ...


class Client:
    """The driver."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def can(self, capability: int) -> bool:
        return capability == STAGE

    async def stage(self, **fields: Any) -> None:
        self.calls.append("stage")

    async def unstage(self, handle: str, path: str) -> None:
        self.calls.append("unstage")

    async def publish(self, **fields: Any) -> None:
        self.calls.append("publish")

    async def unpublish(self, handle: str, path: str) -> None:
        self.calls.append("unpublish")


class World:
    """Drivers, the kubelet and the API server, as the plug-in sees them."""

    def __init__(self) -> None:
        self.client: Client | None = Client()
        self.attached = False

    def get(self, name: str) -> Any:
        if self.client is None:
            raise UnknownDriver(f"driver name {name} not found in the list of registered CSI drivers")
        return self.client

    def csi_driver(self, name: str) -> Any:
        return {"spec": {"attachRequired": True}}

    async def told_in_use(self, volumes: Sequence[str]) -> None: ...

    async def attachment(self, name: str) -> Any:
        return {"status": {"attached": self.attached}}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def plugin(world: World, tmp_path: Path, clock: FakeClock) -> CSI:
    made: Any = world
    return CSI(made, made, tmp_path, clock, node="n", in_use_changed=lambda: None, recorder=Quiet())


VOLUME = {
    "name": "pv",
    "csi": {"driver": "d", "volumeHandle": "h"},
    "persistentVolume": {"metadata": {"name": "pv"}, "spec": {"accessModes": ["ReadWriteMany"]}},
}


def notes(folder: Path) -> list[Path]:
    return list(folder.rglob("vol_data.json"))


def place(folder: Path, uid: str) -> Path:
    return folder / "pods" / uid / "volumes/kubernetes.io~csi/pv"


async def test_a_volume_is_staged_for_the_first_pod_and_unstaged_after_the_last(
    plugin: CSI, world: World, tmp_path: Path
) -> None:
    world.attached = True
    for uid in ("1", "2"):
        await plugin.set_up(make_pod(uid=uid), VOLUME, place(tmp_path, uid))
    assert world.client is not None and world.client.calls == ["stage", "publish", "publish"]
    assert plugin.in_use() == [UNIQUE]
    for uid in ("1", "2"):
        await plugin.tear_down(place(tmp_path, uid))
        plugin.forget(uid)
    assert world.client.calls[3:] == ["unpublish", "unpublish", "unstage"]
    assert plugin.in_use() == [] and not notes(tmp_path)


async def test_a_pod_that_goes_before_its_volume_came_lets_it_go(
    plugin: CSI, clock: FakeClock, tmp_path: Path
) -> None:
    waiting = asyncio.create_task(plugin.set_up(make_pod(uid="1"), VOLUME, place(tmp_path, "1")))
    await clock.advance(1)
    assert plugin.in_use() == [UNIQUE]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    plugin.forget("1")
    assert plugin.in_use() == []


async def test_nobody_attaches(plugin: CSI, clock: FakeClock, tmp_path: Path) -> None:
    waiting = asyncio.create_task(plugin.set_up(make_pod(uid="1"), VOLUME, place(tmp_path, "1")))
    for _ in range(130):
        await clock.advance(1)
    with pytest.raises(VolumeError, match="timed out waiting for external-attacher of d CSI driver"):
        await waiting


async def test_a_driver_that_is_not_there(plugin: CSI, world: World, tmp_path: Path) -> None:
    world.attached = True
    await plugin.set_up(make_pod(uid="1"), VOLUME, place(tmp_path, "1"))
    client, world.client = world.client, None
    with pytest.raises(VolumeError, match="not found in the list of registered CSI drivers"):
        await plugin.set_up(make_pod(uid="2"), VOLUME, place(tmp_path, "2"))
    with pytest.raises(VolumeError):
        await plugin.tear_down(place(tmp_path, "1"))
    assert plugin.in_use() == [UNIQUE]  # it is not lost: the driver may come back
    world.client = client
    await plugin.tear_down(place(tmp_path, "1"))
    assert not place(tmp_path, "1").exists()
