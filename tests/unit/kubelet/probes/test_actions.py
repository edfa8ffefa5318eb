"""What probes say to nobody."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc

from kubarium.apimachinery.protobuf import wire
from kubelet.probes import actions


async def test_where_no_grpc_server_listens() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, and nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = await actions._grpc({"port": port}, "127.0.0.1", 5.0)
    expected = f'failed to connect service "127.0.0.1:{port}" within 5s: context deadline exceeded'
    assert (answer.healthy, answer.output) == (False, f"timeout: {expected}")


async def test_a_grpc_server_is_asked_for_its_service() -> None:
    """Also for one whose name is longer than a byte can say."""
    asked: list[Any] = []

    async def check(request: bytes, context: Any) -> bytes:
        asked.append(wire.fields(request))
        return b"\x08\x01" if len(asked) < 3 else b"\x08\x02"

    server = grpc.aio.server()
    methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        for service in ("", "s" * 300, "web"):
            answer = await actions._grpc({"port": port, "service": service}, "127.0.0.1", 60.0)
    finally:
        await server.stop(None)
    assert asked == [[], [(1, b"s" * 300)], [(1, b"web")]]
    assert answer == actions.Answer(False, 'service unhealthy (responded with "NOT_SERVING")')


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
