"""Lifecycle hooks that are requests, against real servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubarium.component_base.clock import RealClock
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.hooks import HTTP_FALLBACK, HookError, Hooks

TLS_HANDSHAKE = b"\x16"


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append((type, reason, message))


async def ask(scheme: str = "HTTP", path: str = "/") -> tuple[list[str], Recorder]:
    """Run a hook; returns the heads that a server without TLS has read, and the events."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (first := await reader.readexactly(1)) == TLS_HANDSHAKE:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        else:
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            heads.append(head)
            moved = "302 Found\r\nLocation: /there" if head.startswith("GET /here ") else "500 Oops"
            writer.write(f"HTTP/1.1 {moved}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    recorder = Recorder()
    hooks = Hooks(FakeRuntime(), recorder, RealClock())
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        action = {
            "port": server.sockets[0].getsockname()[1],
            "path": path,
            "scheme": scheme,
            "httpHeaders": [{"name": "Authorization", "value": "secret"}, {"name": "X-Mine", "value": "1"}],
        }
        await hooks.run({}, {}, "id", {"httpGet": action}, "127.0.0.1")
    return heads, recorder


async def test_any_answer_will_do_and_redirects_are_followed() -> None:
    heads, recorder = await ask(path="/here")
    assert [head.split()[1] for head in heads] == ["/here", "/there"]
    assert "Authorization: secret" in heads[0] and "User-Agent: kube-lifecycle/1.36" in heads[0]
    assert recorder.events == []


async def test_who_speaks_no_tls_is_asked_in_the_clear_but_told_no_secret() -> None:
    heads, recorder = await ask("HTTPS")
    assert len(heads) == 1 and "X-Mine: 1" in heads[0] and "secret" not in heads[0]
    assert recorder.events == [("Warning", "LifecycleHTTPFallback", HTTP_FALLBACK)]


async def test_nobody_there() -> None:
    hooks = Hooks(FakeRuntime(), Recorder(), RealClock())
    with pytest.raises(HookError, match=r'Get "http://127.0.0.1:1/"'):
        await hooks.run({}, {}, "id", {"httpGet": {"port": 1}}, "127.0.0.1")
    with pytest.raises(HookError):
        await hooks.run({}, {}, "id", {"httpGet": {"port": "nameless"}}, "127.0.0.1")
