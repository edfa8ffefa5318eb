"""What probes say to nobody."""

from __future__ import annotations

import socket

from kubelet.probes import actions


async def test_where_no_grpc_server_listens() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, and nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = await actions._grpc({"port": port}, "127.0.0.1", 5.0)
    expected = f'failed to connect service "127.0.0.1:{port}" within 5s: context deadline exceeded'
    assert (answer.healthy, answer.output) == (False, f"timeout: {expected}")
