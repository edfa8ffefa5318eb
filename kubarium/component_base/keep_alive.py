"""The kernel asks a silent connection for a sign of life: who has vanished without a word would be waited for for ever.

A watch may be silent for minutes, a followed log or a command for days. Nothing else would notice that the other
machine has lost its power, or that the way to it was cut for longer than its good-bye was repeated.
"""

from __future__ import annotations

import socket


def probe(connection: socket.socket, *, idle: int, interval: int, probes: int) -> None:
    """Ask after so many idle seconds, and so often before it counts as lost; what a listener accepts inherits it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, idle),
        (socket.TCP_KEEPINTVL, interval),
        (socket.TCP_KEEPCNT, probes),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
