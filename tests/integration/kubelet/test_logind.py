"""The kubelet and systemd-logind over a real D-Bus; logind itself is played by the test."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from kubelet.node.announcers import Logind

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/>
</policy></busconfig>"""


class Manager(ServiceInterface):
    """org.freedesktop.login1.Manager, as far as a kubelet needs it."""

    def __init__(self) -> None:
        super().__init__("org.freedesktop.login1.Manager")
        self.delay = 5_000_000
        self.asked: tuple[str, ...] = ()
        self.ours, self.theirs = os.pipe()

    @dbus_property(access=PropertyAccess.READ)
    def InhibitDelayMaxUSec(self) -> "t":  # type: ignore[name-defined]  # noqa: F821, UP037
        return self.delay

    @dbus_method()
    def Inhibit(self, what: "s", who: "s", why: "s", mode: "s") -> "h":  # type: ignore[name-defined]  # noqa: F821, UP037
        self.asked = (what, who, why, mode)
        return self.theirs

    @dbus_signal()
    def PrepareForShutdown(self, start: "b") -> "b":  # type: ignore[name-defined]  # noqa: F821, UP037
        return start

    def is_released(self) -> bool:
        """Has the other side closed its end of the lock?"""
        return bool(select.select([self.ours], [], [], 0)[0])


class Systemd(ServiceInterface):
    """org.freedesktop.systemd1.Manager: a reload makes logind read its configuration."""

    def __init__(self, manager: Manager, drop_in: Path) -> None:
        super().__init__("org.freedesktop.systemd1.Manager")
        self._manager = manager
        self._drop_in = drop_in

    @dbus_method()
    def KillUnit(self, name: "s", whom: "s", number: "i") -> "":  # type: ignore[name-defined]  # noqa: F722, F821, UP037
        assert (name, number) == ("systemd-logind.service", 1)
        seconds = self._drop_in.read_text().rpartition("InhibitDelayMaxSec=")[2]
        self._manager.delay = int(seconds) * 1_000_000


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon")
    (tmp_path / "bus.conf").write_text(CONFIG.format(folder=tmp_path))
    argv = ["dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--print-address"]
    daemon = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    address = daemon.stdout.readline()
    yield address.strip()
    daemon.terminate()
    daemon.wait()
    daemon.stdout.close()


async def leave(bus: MessageBus) -> None:
    bus.disconnect()
    await bus.wait_for_disconnect()
    bus._sock.close()


async def test_the_machine_is_held_and_let_go(bus: str, tmp_path: Path) -> None:
    manager, drop_in = Manager(), tmp_path / "logind.conf.d/99-kubelet.conf"
    other = await MessageBus(bus_address=bus, negotiate_unix_fd=True).connect()
    other.export("/org/freedesktop/login1", manager)
    other.export("/org/freedesktop/systemd1", Systemd(manager, drop_in))
    await other.request_name("org.freedesktop.login1")
    await other.request_name("org.freedesktop.systemd1")

    logind = Logind(bus, str(drop_in))
    await logind.hold(30)
    assert manager.delay == 30_000_000, "logind would have waited for five seconds only"
    assert manager.asked == ("shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay")
    os.close(manager.theirs)  # ours was a copy
    announcements = logind.announcements()
    for ending in (True, False):
        manager.PrepareForShutdown(ending)
        assert await anext(announcements) is ending
    assert not manager.is_released()
    await logind.release()
    assert manager.is_released()
    await logind.close()
    await leave(other)
    os.close(manager.ours)


async def test_a_bus_that_goes_away_ends_the_announcements(bus: str, tmp_path: Path) -> None:
    manager = Manager()
    manager.delay = 60_000_000
    other = await MessageBus(bus_address=bus, negotiate_unix_fd=True).connect()
    other.export("/org/freedesktop/login1", manager)
    await other.request_name("org.freedesktop.login1")
    logind = Logind(bus, str(tmp_path / "unused"))
    await logind.hold(30)
    logind._bus.disconnect()
    assert [ending async for ending in logind.announcements()] == []
    await logind.close()
    await leave(other)
    for end in (manager.ours, manager.theirs):
        os.close(end)
