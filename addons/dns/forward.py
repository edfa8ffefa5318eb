"""Names of other domains: ask the resolvers of the node."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kubarium.component_base import logging

log = logging.get(__name__)

TIMEOUT = 2.0  # seconds for each resolver


def resolvers_of(resolv_conf: str) -> list[str]:
    """The name servers in a resolv.conf; none if it cannot be read."""
    try:
        lines = Path(resolv_conf).read_text().splitlines()
    except OSError:
        return []
    return [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]


class Forwarder:
    """Passes a question on as it is and returns the answer as it is."""

    def __init__(self, resolvers: list[str], port: int = 53) -> None:
        self._resolvers, self._port = resolvers, port

    async def ask(self, question: bytes) -> bytes | None:
        """The first answer of any resolver; None if there is none."""
        for resolver in self._resolvers:
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await self._ask(resolver, question)
            except (OSError, TimeoutError) as error:
                log.debug("resolver %s does not answer: %s", resolver, error or "timeout")
        return None

    async def _ask(self, resolver: str, question: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(answer, question[:2]), remote_addr=(resolver, self._port)
        )
        try:
            transport.sendto(question)
            return await answer
        finally:
            transport.close()


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes], identifier: bytes) -> None:
        self._answer, self._identifier = answer, identifier

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answer.done() and data[:2] == self._identifier:
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)
