"""What a process does for itself."""

from __future__ import annotations

import asyncio
import resource

import pytest
import uvloop

from kubarium.component_base.process import Process, allow_many_files, run


def test_as_many_files_as_the_machine_allows() -> None:
    before = soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most) - 1, most))
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_uvloop_says_of_a_connection_that_was_given_up_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(
        uvloop.Loop, "default_exception_handler", lambda loop, told: heard.append(told["message"])
    )

    async def main(process: Process) -> None:
        loop = asyncio.get_running_loop()
        lost = asyncio.Event()

        class Guest(asyncio.Protocol):
            def connection_lost(self, error: Exception | None) -> None:
                lost.set()

        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(Guest, *server.sockets[0].getsockname())
        transport.abort()
        await lost.wait()
        with pytest.raises(RuntimeError) as late:
            transport.write(b"the last word of a handshake")
        loop.call_exception_handler({"message": "Fatal error on SSL protocol", "exception": late.value})
        loop.call_exception_handler({"message": "of weight", "exception": RuntimeError("another one")})
        server.close()
        await server.wait_closed()

    assert run(main) == 0
    assert heard == ["of weight"]
