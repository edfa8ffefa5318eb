"""What probes say to nobody."""

from __future__ import annotations

import asyncio
import socket

from kubelet.probes import actions


async def test_where_no_grpc_server_listens() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, and nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = await actions._grpc({"port": port}, "127.0.0.1", 5.0)
    expected = f'failed to connect service "127.0.0.1:{port}" within 5s: context deadline exceeded'
    assert (answer.healthy, answer.output) == (False, f"timeout: {expected}")


async def answer_to(path: str) -> actions.Answer:
    """Ask a server whose `/here` leads to `/broken`, `/away` to another host and `/round` to itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        leads = {"/here": "/broken", "/away": "http://0.0.0.0/", "/round": "/round"}.get(asked)
        first = "302 Found" if leads else "500 Oops" if asked == "/broken" else "200 OK"
        header = f"Location: {leads}\r\n" if leads else ""
        writer.write(f"HTTP/1.1 {first}\r\n{header}\r\nbody".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        action = {"path": path, "port": server.sockets[0].getsockname()[1]}
        return await actions._http({}, action, "127.0.0.1", 20.0)


async def test_redirects_are_followed_on_the_host_only() -> None:
    assert (await answer_to("/fine")) == actions.Answer(True, "body")
    assert (await answer_to("/here")) == actions.Answer(False, "HTTP probe failed with statuscode: 500")
    away = await answer_to("/away")
    assert away.healthy and away.warning == "Probe terminated redirects, Response body: body"
    circle = await answer_to("/round")
    assert not circle.healthy and circle.output.endswith("stopped after 10 redirects")
