"""Questions by UDP and TCP. Answers to the same question are packed once until something in the cluster changes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dnslib import CLASS, EDNS0, OPCODE, QTYPE, RCODE, DNSError, DNSRecord

from addons.dns import answer as answers
from addons.dns import metrics
from addons.dns.cache import Cache
from addons.dns.forward import Forwarder, Overloaded
from addons.dns.zone import Zone
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

PLAIN_UDP = 512  # bytes of an answer by UDP unless the client says that it takes more (RFC 6891)
LARGEST_UDP = 4096
PACKED = 10_000  # answers
ORDERS = 8  # in which the records of one answer are kept
CHASE = 8  # names of names of names
IDLE_SECONDS = 30.0  # for which a TCP connection may say nothing


@dataclass(frozen=True, slots=True)
class _Packed:
    """Answers to one question that differ in the order of their records; complete when there are as many as wanted."""

    answers: list[bytes]
    wanted: int
    count: Callable[[], None]


def _datagram_socket(host: str, port: int) -> socket.socket:
    """`::` beside `0.0.0.0`: each for its own family."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class Server:
    """Answers what is ours and forwards the rest."""

    def __init__(self, zone: Zone, forwarder: Forwarder, clock: Clock | None = None) -> None:
        self._zone, self._forwarder = zone, forwarder
        self._foreign = Cache(clock or RealClock())
        self._packed: dict[bytes, _Packed] = {}
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        listener = _datagram_socket(host, port)
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=listener)
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

    def packed(self, question: bytes) -> bytes | None:
        """A packed answer to exactly this question (but for its number), if nothing changed since."""
        if self._generation != self._zone.generation:
            self._packed.clear()
            self._generation = self._zone.generation
        known = self._packed.get(question[2:])
        if known is None or len(known.answers) < known.wanted:
            return None
        known.count()
        return question[:2] + random.choice(known.answers)

    async def answer(self, question: bytes, *, tcp: bool) -> bytes | None:
        """The packed answer; None for what is no question at all."""
        started = time.perf_counter()
        try:
            request = DNSRecord.parse(question)
        except DNSError:
            return _malformed(question)
        if request.header.qr:
            return None
        if request.header.opcode != OPCODE.QUERY or len(request.questions) != 1:
            return self._refused(request, RCODE.NOTIMP)
        if request.questions[0].qclass != CLASS.IN:
            return self._refused(request, RCODE.REFUSED)
        asked = request.questions[0]
        kind = str(QTYPE.get(asked.qtype))
        metrics.REQUESTS.labels("tcp" if tcp else "udp", kind).inc()
        name = str(asked.qname).rstrip(".").lower()
        if answers.is_ours(self._zone, name):
            reply = await self._own(question, request, name, kind, tcp)
        else:
            reply = await self._forward(question, request, tcp)
        metrics.DURATION.observe(time.perf_counter() - started)
        return reply

    async def _own(self, question: bytes, request: DNSRecord, name: str, kind: str, tcp: bool) -> bytes:
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
        code = str(RCODE.get(found.code))
        metrics.RESPONSES.labels(code, "kubernetes").inc()
        packed = _pack(reply, request, tcp)
        stays = not (tcp or found.chase) and self._generation == self._zone.generation
        if stays and len(self._packed) < PACKED:
            wanted = ORDERS if several else 1
            known = self._packed.setdefault(question[2:], _Packed([], wanted, _counter(kind, code)))
            known.answers.append(packed[2:])
        return packed

    async def _forward(self, question: bytes, request: DNSRecord, tcp: bool) -> bytes:
        """What others say, remembered for a while; datagrams and connections may get different answers."""
        known = self._foreign.get(question) if not tcp else None
        if known is not None:
            return known
        try:
            answer = await self._forwarder.ask(question, tcp=tcp)
        except Overloaded:
            return self._refused(request, RCODE.REFUSED)
        if answer is None:
            answer = self._refused(request, RCODE.SERVFAIL)
        else:
            metrics.RESPONSES.labels(str(RCODE.get(answer[3] & 0x0F)), "forward").inc()
        if not tcp:
            self._foreign.put(question, answer)
        return answer

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
        question = DNSRecord.question(name, kind)
        answer = await self._forward(bytes(question.pack()), question, tcp=False)
        with contextlib.suppress(DNSError):
            for record in DNSRecord.parse(answer).rr:
                reply.add_answer(record)

    @staticmethod
    def _refused(request: DNSRecord, code: int) -> bytes:
        reply = request.reply(ra=1, aa=0)
        reply.header.rcode = code
        metrics.RESPONSES.labels(str(RCODE.get(code)), "").inc()
        return _pack(reply, request, tcp=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: questions with their length in front (RFC 7766)."""
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
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


def _pack(reply: DNSRecord, request: DNSRecord, tcp: bool) -> bytes:
    """Whoever speaks EDNS is told that we do, too (RFC 6891, 6.1.1); by UDP it must fit."""
    sizes = [record.edns_len for record in request.ar if record.rtype == QTYPE.OPT]
    if sizes:
        reply.add_ar(EDNS0(udp_len=LARGEST_UDP))
    packed = bytes(reply.pack())
    if tcp or len(packed) <= min(max([PLAIN_UDP, *sizes]), LARGEST_UDP):
        return packed
    short = reply.truncate()
    if sizes:
        short.add_ar(EDNS0(udp_len=LARGEST_UDP))
    return bytes(short.pack())


def _malformed(question: bytes) -> bytes | None:
    """FORMERR for what at least has a header; nothing for noise, nor for answers: that could go on for ever."""
    if len(question) < 12 or question[2] & 0x80:
        return None
    metrics.RESPONSES.labels("FORMERR", "").inc()
    return question[:2] + bytes([0x80 | question[2] & 0x79, RCODE.FORMERR]) + bytes(8)


def _counter(kind: str, code: str) -> Callable[[], None]:
    """What a repeated answer counts as."""
    request, response = metrics.REQUESTS.labels("udp", kind), metrics.RESPONSES.labels(code, "kubernetes")

    def count() -> None:
        request.inc()
        response.inc()

    return count


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        known = self._server.packed(data)
        if known is not None and self._transport is not None:
            self._transport.sendto(known, addr)
        else:
            self._server.spawn(self._answer(data, addr))

    async def _answer(self, data: bytes, addr: Any) -> None:
        reply = await self._server.answer(data, tcp=False)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)
