"""Who says that the machine is about to end: systemd-logind over D-Bus where there is one, else the signal SIGPWR.

With logind the kubelet takes a delay inhibitor lock, as upstream's does, and gives it back when the pods have ended.
Without it, whoever stops the machine sends the kubelet SIGPWR, waits until `graceful_node_shutdown_state` in the
kubelet's directory says `endTime`, and goes on. A second SIGPWR while pods end calls the first one off.
Source: https://systemd.io/INHIBITOR_LOCKS/
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

SYSTEM_BUS = "/run/dbus/system_bus_socket"
LOGIND, LOGIND_PATH, MANAGER = (
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
)
SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
DROP_IN = "/etc/systemd/logind.conf.d/99-kubelet.conf"


class PowerSignal:
    """SIGPWR: the machine is about to end; nobody waits for an answer but by the state file."""

    def __init__(self) -> None:
        self._ending = False
        self._announced: asyncio.Queue[bool] = asyncio.Queue()

    async def hold(self, seconds: float) -> None:
        """Listen for the signal."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGPWR, self._received)

    def _received(self) -> None:
        self._ending = not self._ending
        self._announced.put_nowait(self._ending)

    async def announcements(self) -> AsyncIterator[bool]:
        """One for each signal."""
        while True:
            yield await self._announced.get()

    async def release(self) -> None:
        """Nothing is held."""
        self._ending = False


class Logind:
    """systemd-logind, by its D-Bus interface."""

    def __init__(self, address: str | None = None, drop_in: str = DROP_IN) -> None:
        self._address = address
        self._drop_in = Path(drop_in)
        self._bus: Any = None
        self._lock: int | None = None
        self._announced: asyncio.Queue[bool | None] = asyncio.Queue()

    async def hold(self, seconds: float) -> None:
        """Take the lock; logind waits for as long as it is configured to, which is made long enough. Raises OSError."""
        from dbus_fast import BusType, DBusError  # only now: few machines have systemd
        from dbus_fast.aio import MessageBus

        await self.close()
        try:
            self._bus = await MessageBus(
                bus_address=self._address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True
            ).connect()
            await self._lengthen(seconds)
            await self._listen()
            answer = await self._call(
                (LOGIND, LOGIND_PATH, MANAGER),
                "Inhibit",
                "ssss",
                ["shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay"],
            )
            self._lock = answer.unix_fds[0]
        except (DBusError, EOFError, ValueError) as error:
            raise OSError(f"logind: {error}") from error

    async def _call(
        self, where: tuple[str, str, str], member: str, signature: str, body: Sequence[Any]
    ) -> Any:
        from dbus_fast import Message, MessageType

        destination, path, interface = where
        answer = await self._bus.call(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        if answer.message_type is MessageType.ERROR:
            raise OSError(f"{destination} {member}: {' '.join(map(str, answer.body))}")
        return answer

    async def _listen(self) -> None:
        rule = f"type='signal',interface='{MANAGER}',member='PrepareForShutdown',path='{LOGIND_PATH}'"
        await self._call(BUS, "AddMatch", "s", [rule])
        bus, announced = self._bus, self._announced

        def heard(message: Any) -> None:
            if message.member == "PrepareForShutdown" and message.interface == MANAGER:
                announced.put_nowait(bool(message.body[0]))

        def gone(ended: asyncio.Future[Any]) -> None:
            if not ended.cancelled():
                ended.exception()
            if self._bus is bus:
                announced.put_nowait(None)

        bus.add_message_handler(heard)
        asyncio.ensure_future(bus.wait_for_disconnect()).add_done_callback(gone)

    async def _delay(self) -> float:
        """Seconds for which logind lets itself be delayed."""
        properties = (LOGIND, LOGIND_PATH, "org.freedesktop.DBus.Properties")
        answer = await self._call(properties, "Get", "ss", [MANAGER, "InhibitDelayMaxUSec"])
        return float(answer.body[0].value) / 1e6

    async def _lengthen(self, seconds: float) -> None:
        """logind's own limit (5 s by default) must not be shorter than what pods were promised."""
        if await self._delay() >= seconds:
            return
        self._drop_in.parent.mkdir(parents=True, exist_ok=True)
        self._drop_in.write_text(f"# Kubelet logind override\n[Login]\nInhibitDelayMaxSec={seconds:.0f}\n")
        unit = ["systemd-logind.service", "all", int(signal.SIGHUP)]
        await self._call(SYSTEMD, "KillUnit", "ssi", unit)
        for _ in range(50):
            present = await self._delay()
            if present >= seconds:
                return
            await asyncio.sleep(0.1)
        raise OSError(
            f"node shutdown manager was unable to update logind InhibitDelayMaxSec to {seconds:.0f}s "
            f"(ShutdownGracePeriod), current value of InhibitDelayMaxSec ({present:.0f}s) is less than requested "
            "ShutdownGracePeriod"
        )

    async def announcements(self) -> AsyncIterator[bool]:
        """logind's signal PrepareForShutdown. Ends when the bus is gone."""
        while True:
            ending = await self._announced.get()
            if ending is None:
                return
            yield ending

    async def release(self) -> None:
        """Give the lock back: logind goes on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def close(self) -> None:
        """Leave the bus; the lock goes with it."""
        await self.release()
        if self._bus is not None:
            bus, self._bus = self._bus, None
            bus.disconnect()
            with contextlib.suppress(EOFError, OSError):
                await bus.wait_for_disconnect()
            bus._sock.close()


def find() -> Logind | PowerSignal:
    """logind, if this machine is run by systemd and has a bus."""
    if Path("/run/systemd/system").is_dir() and Path(SYSTEM_BUS).exists():
        return Logind()
    return PowerSignal()
