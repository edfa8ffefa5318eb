"""Names of other domains: ask the resolvers of the node.

A question goes on as it is and the answer comes back as it is. The resolver that answered last is asked first; one that
keeps silent costs its time-out once, not for each question.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from addons.dns import metrics
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

TIMEOUT = 2.0  # seconds for each resolver
MAX_CONCURRENT = 1000  # questions under way; more are refused, as CoreDNS does
TRUNCATED = 0x02  # bit of the third byte of an answer


def resolvers_of(resolv_conf: str) -> list[str]:
    """The name servers in a resolv.conf; none if it cannot be read."""
    try:
        lines = Path(resolv_conf).read_text().splitlines()
    except OSError:
        return []
    return [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]


class Overloaded(Exception):
    """Too many questions are under way."""


class Forwarder:
    """Knows the resolvers, and which of them answers."""

    def __init__(self, resolvers: list[str], port: int = 53) -> None:
        self._resolvers, self._port = list(resolvers), port
        self._under_way = 0

    async def ask(self, question: bytes, *, tcp: bool = False) -> bytes | None:
        """The first answer of any resolver; None if there is none. Raises Overloaded.

        What does not fit into a datagram is asked again by TCP, if the client can take it.
        """
        if self._under_way >= MAX_CONCURRENT:
            metrics.FORWARD_REJECTS.inc()
            raise Overloaded
        self._under_way += 1
        try:
            return await self._ask_all(question, tcp)
        finally:
            self._under_way -= 1

    async def _ask_all(self, question: bytes, tcp: bool) -> bytes | None:
        for resolver in list(self._resolvers):
            try:
                async with asyncio.timeout(TIMEOUT):
                    with metrics.FORWARD_DURATION.labels(f"{resolver}:{self._port}").time():
                        answer = await self._by_udp(resolver, question)
                        if tcp and answer[2] & TRUNCATED:
                            answer = await self._by_tcp(resolver, question)
                return answer
            except (OSError, TimeoutError, EOFError) as error:
                log.debug("resolver %s does not answer: %s", resolver, error or "timeout")
                self._ask_later(resolver)
        metrics.FORWARD_BROKEN.inc()
        return None

    def _ask_later(self, resolver: str) -> None:
        if self._resolvers and self._resolvers[0] == resolver:
            self._resolvers.append(self._resolvers.pop(0))

    async def _by_udp(self, resolver: str, question: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        number = os.urandom(2)  # not the client's: whoever can guess it could answer in the resolver's place
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(answer, number), remote_addr=(resolver, self._port)
        )
        try:
            transport.sendto(number + question[2:])
            return question[:2] + (await answer)[2:]
        finally:
            transport.close()

    async def _by_tcp(self, resolver: str, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(resolver, self._port)
        try:
            writer.write(len(question).to_bytes(2) + question)
            await writer.drain()
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        finally:
            writer.close()

    async def follow(self, resolv_conf: str, interval: float, clock: Clock | None = None) -> None:
        """Read the file again and again: the node may come to another network."""
        clock = clock or RealClock()
        while True:
            await clock.sleep(interval)
            found = resolvers_of(resolv_conf)
            if set(found) != set(self._resolvers):
                log.info("resolvers are now %s", ", ".join(found) or "none")
                self._resolvers = found


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes], number: bytes) -> None:
        self._answer, self._number = answer, number

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answer.done() and len(data) > 3 and data[:2] == self._number:
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)
