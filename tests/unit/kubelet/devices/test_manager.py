"""Who gets which device, with a plugin that answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.devices import plugins as plugins_module
from kubelet.devices.manager import DeviceManager, Unexpected
from kubelet.devices.plugins import GRACE, DevicePlugins, Endpoint
from tests.unit.kubelet.making import make_container, make_pod

THING = "a.example/thing"
MESSAGES = plugins_module.MESSAGES


class Socket:
    """A plugin that says what it was given."""

    endpoint = "/none"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, method: str, *_: Any, **fields: Any) -> Any:
        self.asked.append(method)
        if method != "Allocate":
            return None
        ids = fields["container_requests"][0]["devices_ids"]
        return MESSAGES["AllocateResponse"](container_responses=[{"envs": {"IDS": ",".join(ids)}}])


def offer(plugins: DevicePlugins, *ids: str, sick: Sequence[str] = ()) -> Endpoint:
    endpoint = Endpoint(THING, Socket(), pre_start=True)  # type: ignore[arg-type]
    endpoint.devices = {
        id: MESSAGES["Device"](ID=id, health="Unhealthy" if id in sick else "Healthy") for id in ids
    }
    plugins._endpoints[THING] = endpoint
    return endpoint


@pytest.fixture
def plugins(tmp_path: Path, clock: FakeClock) -> DevicePlugins:
    return DevicePlugins(tmp_path, clock, lambda: None)


def wants(uid: str, count: int, init: int = 0) -> Any:
    def limits(number: int) -> dict[str, Any]:
        return {"limits": {THING: str(number)}}

    pod = make_pod(containers=[make_container("main", resources=limits(count))])
    if init:
        pod["spec"]["initContainers"] = [make_container("init", resources=limits(init))]
    pod["metadata"]["uid"] = uid
    return pod


async def test_each_device_has_one_owner(plugins: DevicePlugins, tmp_path: Path) -> None:
    endpoint = offer(plugins, "a", "b", "c", sick=["a"])
    active = ["1", "2"]
    manager = DeviceManager(plugins, tmp_path, lambda: active)
    await manager.allocate(wants("1", 2))
    assert manager.given_to("1") == {"main": {THING: ["b", "c"]}}
    text = f"Allocate failed due to requested number of devices unavailable for {THING}. Requested: 1, Available: 0"
    with pytest.raises(Unexpected, match=text):
        await manager.allocate(wants("2", 1))
    pod = wants("1", 2)
    found = await manager.prepare(pod, pod["spec"]["containers"][0])
    assert found.environment == {"IDS": "b,c"}
    assert endpoint.socket.asked == ["Allocate", "PreStartContainer"]  # type: ignore[attr-defined]

    # Another process reads what was given; a pod that has ended gives back.
    later = DeviceManager(plugins, tmp_path, lambda: active)
    assert later.given_to("1") == manager.given_to("1")
    active.remove("1")
    await later.allocate(wants("2", 1))
    assert later.given_to("2") == {"main": {THING: ["b"]}}


async def test_init_containers_leave_their_devices_to_containers(
    plugins: DevicePlugins, tmp_path: Path
) -> None:
    offer(plugins, "a", "b")
    manager = DeviceManager(plugins, tmp_path, lambda: ["1"])
    await manager.allocate(wants("1", 2, init=1))
    given = manager.given_to("1")
    assert given["init"][THING] == ["a"] and sorted(given["main"][THING]) == ["a", "b"]


async def test_a_resource_that_nobody_offers_is_not_ours(plugins: DevicePlugins, tmp_path: Path) -> None:
    manager = DeviceManager(plugins, tmp_path, lambda: ["1"])
    await manager.allocate(wants("1", 1))
    assert not manager.given_to("1")


async def test_what_the_node_has(plugins: DevicePlugins, clock: FakeClock) -> None:
    endpoint = offer(plugins, "a", "b", sick=["b"])
    assert plugins.amounts() == ({THING: "2"}, {THING: "1"})
    endpoint.stopped_at = clock.monotonic()
    assert plugins.amounts() == ({THING: "2"}, {THING: "0"})
    await clock.advance(GRACE + 1)
    assert plugins.amounts() == ({THING: "0"}, {THING: "0"})
