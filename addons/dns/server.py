"""Questions by UDP and TCP. Answers to the same question are packed once until something in the cluster changes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import prometheus_client
from dnslib import QTYPE, RCODE, DNSError, DNSRecord

from addons.dns import answer as answers
from addons.dns.forward import Forwarder
from addons.dns.zone import Zone
from kubarium.component_base import logging

log = logging.get(__name__)

REQUESTS = prometheus_client.Counter(
    "coredns_dns_requests", "Counter of DNS requests made.", ["proto", "type"]
)
RESPONSES = prometheus_client.Counter("coredns_dns_responses", "Counter of response status codes.", ["rcode"])

PLAIN_UDP = 512  # bytes of an answer by UDP unless the client says that it takes more (RFC 6891)
LARGEST_UDP = 4096
CACHE = 10_000  # packed answers
CHASE = 8  # names of names of names


class Server:
    """Answers what is ours and forwards the rest."""

    def __init__(self, zone: Zone, forwarder: Forwarder) -> None:
        self._zone, self._forwarder = zone, forwarder
        self._packed: dict[bytes, bytes] = {}
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, port))
        tcp = await asyncio.start_server(self._converse, host, port)
        log.info("answering on %s:%s for %s", host, port, self._zone.domain)
        try:
            async with tcp:
                await tcp.serve_forever()
        finally:
            udp.close()
            for task in self._tasks:
                task.cancel()

    def spawn(self, work: Any) -> None:
        """Answer in the background; the server is the parent of the task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cached(self, question: bytes) -> bytes | None:
        """A packed answer to exactly this question (but for its number), if nothing changed since."""
        if self._generation != self._zone.generation:
            self._packed.clear()
            self._generation = self._zone.generation
        known = self._packed.get(question[2:])
        return None if known is None else question[:2] + known

    async def answer(self, question: bytes, *, tcp: bool) -> bytes | None:
        """The packed answer; None for what is no question at all."""
        try:
            request = DNSRecord.parse(question)
        except DNSError:
            return None
        if request.header.qr or not request.questions:
            return None
        asked = request.questions[0]
        kind = QTYPE.get(asked.qtype)
        REQUESTS.labels("tcp" if tcp else "udp", str(kind)).inc()
        name = str(asked.qname).rstrip(".").lower()
        if not answers.is_ours(self._zone, name):
            forwarded = await self._forwarder.ask(question)
            return forwarded if forwarded is not None else self._failed(request)
        packed, complete = await self._resolve(request, name, str(kind), tcp)
        if complete and not tcp and len(self._packed) < CACHE and self._generation == self._zone.generation:
            self._packed[question[2:]] = packed[2:]
        return packed

    async def _resolve(self, request: DNSRecord, name: str, kind: str, tcp: bool) -> tuple[bytes, bool]:
        found = answers.resolve(self._zone, name, kind)
        reply = request.reply(ra=1, aa=1)
        reply.header.rcode = found.code
        several = len(found.records) > 1
        if several:  # clients take the first, so that everybody's turn comes
            random.shuffle(found.records)
        for record in found.records:
            reply.add_answer(record)
        for record in found.extra:
            reply.add_ar(record)
        if found.chase and kind in ("A", "AAAA"):
            await self._chase(reply, found.chase, kind)
        if not found.records:
            reply.add_auth(answers.start_of_authority(self._zone))
        RESPONSES.labels(str(RCODE.get(found.code))).inc()
        packed = reply.pack()
        if not tcp and len(packed) > _limit_of(request):
            packed = reply.truncate().pack()
        return bytes(packed), not (found.chase or several)

    async def _chase(self, reply: Any, name: str, kind: str) -> None:
        """What an ExternalName leads to, so that the client need not ask again."""
        for _ in range(CHASE):
            if not answers.is_ours(self._zone, name):
                break
            found = answers.resolve(self._zone, name, kind)
            for record in found.records:
                reply.add_answer(record)
            if not found.chase:
                return
            name = found.chase
        forwarded = await self._forwarder.ask(DNSRecord.question(name, kind).pack())
        if forwarded is None:
            return
        with contextlib.suppress(DNSError):
            for record in DNSRecord.parse(forwarded).rr:
                reply.add_answer(record)

    @staticmethod
    def _failed(request: DNSRecord) -> bytes:
        reply = request.reply(ra=1, aa=0)
        reply.header.rcode = RCODE.SERVFAIL
        RESPONSES.labels("SERVFAIL").inc()
        return bytes(reply.pack())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: questions with their length in front (RFC 7766)."""
        try:
            while True:
                async with asyncio.timeout(30):
                    length = int.from_bytes(await reader.readexactly(2))
                    question = await reader.readexactly(length)
                reply = await self.answer(question, tcp=True)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            return
        finally:
            writer.close()


def _limit_of(request: DNSRecord) -> int:
    sizes = [record.edns_len for record in request.ar if record.rtype == QTYPE.OPT]
    return int(min(max([PLAIN_UDP, *sizes]), LARGEST_UDP))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        known = self._server.cached(data)
        if known is not None and self._transport is not None:
            self._transport.sendto(known, addr)
        else:
            self._server.spawn(self._answer(data, addr))

    async def _answer(self, data: bytes, addr: Any) -> None:
        reply = await self._server.answer(data, tcp=False)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)
