"""Sockets in the network namespace of another process: what listens there on loopback can be reached.

A socket belongs to the namespace of the thread that makes it, for ever; so a thread enters the namespace, makes the
socket and ends. Whoever uses the socket stays where it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000


async def connect(netns: Path, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to `localhost` inside. Raises OSError."""
    try:
        return await _connect(netns, port, socket.AF_INET, "127.0.0.1")
    except ConnectionRefusedError as refused:
        try:
            return await _connect(netns, port, socket.AF_INET6, "::1")
        except OSError:
            raise refused from None  # many sandboxes have no IPv6 at all


async def _connect(
    netns: Path, port: int, family: socket.AddressFamily, address: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = make_socket(netns, family)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (address, port))
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


def make_socket(netns: Path, family: socket.AddressFamily) -> socket.socket:
    """A TCP socket of that namespace. Takes far less than a millisecond, so it may be called from a loop."""
    made: list[socket.socket | OSError] = []

    def work() -> None:
        try:
            _enter(netns)
            made.append(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=work)  # one of its own: it must not serve anyone else after this
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _enter(netns: Path) -> None:
    descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(netns))
    finally:
        os.close(descriptor)
