"""Calls over a unix socket: who hangs up, what is told, and that nothing is left open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kubarium.component_base.grpc_channel import CallFailed, Channel, TooLate
from kubelet.runtime import interface
from kubelet.runtime.containerd import understood

PARTS = 300  # of an answer that does not fit into one frame, nor into what a connection takes unasked


async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    if request == b"late":
        await asyncio.Event().wait()
    if request == b"refuse":
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "50% of it: caf\u00e9")
    return request * PARTS


async def many(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
    for _ in range(PARTS):
        yield request
    if request == b"late":
        await asyncio.Event().wait()


class Handler(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        if details.method.endswith("Many"):
            return grpc.unary_stream_rpc_method_handler(many)  # type: ignore[arg-type]
        return grpc.unary_unary_rpc_method_handler(answer)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[None]:
    options = [("grpc.max_receive_message_length", 32 << 20)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(f"unix://{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


async def test_what_kubelets_ask_of_runtimes(tmp_path: Path) -> None:
    channel = Channel(f"unix://{tmp_path}/a.sock")
    with pytest.raises(CallFailed, match=r"UNAVAILABLE: cannot connect to .*No such file"):
        await channel.call("a.B/One", b"", 60)  # a socket that appears later
    async with asyncio.timeout(60), serving(tmp_path / "a.sock"):
        assert await channel.call("a.B/One", b"a" * 50_000, 60) == b"a" * 50_000 * PARTS
        with pytest.raises(CallFailed, match="DEADLINE_EXCEEDED: 50% of it: café") as refused:
            await channel.call("a.B/One", b"refuse", 60)
        assert str(understood(refused.value)) == "50% of it: café"
        with pytest.raises(TooLate) as late:
            await channel.call("a.B/One", b"late", 0.01)
        assert isinstance(understood(late.value), interface.DeadlineExceeded)
        assert str(understood(late.value)) == "context deadline exceeded"
        stream = channel.stream("a.B/Many", b"b" * 1000, stays_open=False)
        assert [len(part) async for part in stream] == [1000] * PARTS
        endless, found = channel.stream("a.B/Many", b"late", stays_open=False), 0
        async with contextlib.aclosing(endless):
            async for _ in endless:
                found += 1
                if found == PARTS:
                    break
        waiting = asyncio.ensure_future(channel.call("a.B/One", b"late", 60))
        assert await channel.call("a.B/One", b"c", 60) == b"c" * PARTS  # beside the one that waits
    with pytest.raises(CallFailed, match="UNAVAILABLE"):
        await waiting  # its server has gone
    async with asyncio.timeout(60), serving(tmp_path / "a.sock"):
        assert await channel.call("a.B/One", b"d", 60) == b"d" * PARTS  # and is back
        channel.close()
    with pytest.raises(CallFailed, match="closed"):
        await channel.call("a.B/One", b"", 60)


async def test_a_channel_that_is_closed_while_it_connects(tmp_path: Path) -> None:
    async with asyncio.timeout(60), serving(tmp_path / "a.sock"):
        channel = Channel(f"unix://{tmp_path}/a.sock")
        asking = asyncio.ensure_future(channel.call("a.B/One", b"", 60))
        await asyncio.sleep(0)
        channel.close()
        with pytest.raises(CallFailed, match="UNAVAILABLE"):
            await asking
