"""A scheduler extender for tests: over HTTP, it refuses node `a`, likes node `c`, and writes down what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

import orjson

from kubarium.apimachinery.object import Object


class ExtenderServer:
    """Answers as a well-behaved extender, in either way of naming nodes. `nodes` may begin with a prefix."""

    def __init__(self, prefix: str = "") -> None:
        self.refused, self.liked = f"{prefix}a", f"{prefix}c"
        self.preempts_on = self.liked
        self.asked: list[tuple[str, Object]] = []
        self.port = 0
        self.broken = False
        self.bind_error = ""
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Serve until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            connections = dict(self._connections)
            for writer in connections.values():
                writer.close()
            await asyncio.gather(*connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = orjson.loads(await reader.readexactly(length))
                verb = head.split()[1].decode().rpartition("/")[2]
                self.asked.append((verb, body))
                answer = orjson.dumps(await self.answer(verb, body))
                status = b"500 Internal Server Error" if self.broken else b"200 OK"
                writer.write(
                    b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%s"
                    % (status, len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._connections[task]
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def answer(self, verb: str, body: Object) -> Any:
        """What an extender says to this."""
        match verb:
            case "filter":
                kept = [name for name in self._names(body) if name != self.refused]
                if body["NodeNames"] is None:
                    items = [one for one in body["Nodes"]["items"] if one["metadata"]["name"] != self.refused]
                    refused = {self.refused: "no licence"}
                    return {"Nodes": {"items": items}, "FailedAndUnresolvableNodes": refused}
                return {"NodeNames": kept, "FailedNodes": {self.refused: "no licence"}}
            case "prioritize":
                return [{"Host": name, "Score": 10 * (name == self.liked)} for name in self._names(body)]
            case "preempt":
                return {"NodeNameToMetaVictims": self._agreed(body)}
            case _:
                return {"Error": self.bind_error or await self.bind(body)}

    async def bind(self, body: Object) -> str:
        """Bind a pod; what went wrong, or nothing."""
        return ""

    @staticmethod
    def _names(body: Object) -> list[str]:
        if body["NodeNames"] is not None:
            return body["NodeNames"]  # type: ignore[no-any-return]
        return [one["metadata"]["name"] for one in body["Nodes"]["items"]]

    def _agreed(self, body: Object) -> Object:
        """Victims on one node only."""
        victims = body["NodeNameToMetaVictims"] or {
            node: {"Pods": [{"UID": pod["metadata"]["uid"]} for pod in entry["Pods"]]}
            for node, entry in body["NodeNameToVictims"].items()
        }
        return {node: entry for node, entry in victims.items() if node == self.preempts_on}
