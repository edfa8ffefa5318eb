"""Answers of other servers, for as long as they may be repeated: also that a name does not exist (RFC 2308).

An answer is kept as it came; when it is repeated its number is the new question's, and its times to live are shorter by
its age.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from dnslib import QTYPE, RCODE, DNSError, DNSRecord

from addons.dns import metrics
from kubarium.component_base.clock import Clock

LONGEST = 30.0  # seconds, as in the usual Corefile: `cache 30`
FAILURE = 5.0  # seconds for which SERVFAIL is remembered
LARGEST = 9984  # answers, CoreDNS' default capacity
_HEADER = 12  # bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer, and where in it the times to live are written."""

    answer: bytes
    since: float
    until: float
    ttls: tuple[int, ...]
    negative: bool

    def repeated(self, number: bytes, now: float) -> bytes:
        """The answer for another question of the same kind."""
        fresh = bytearray(self.answer)
        fresh[:2] = number
        age = int(now - self.since)
        for offset in self.ttls:
            (ttl,) = struct.unpack_from("!I", fresh, offset)
            struct.pack_into("!I", fresh, offset, max(0, ttl - age))
        return bytes(fresh)


class Cache:
    """Keyed by the question without its number; the oldest answer makes room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def get(self, question: bytes) -> bytes | None:
        """The answer, if it may still be repeated."""
        kept, now = self._kept.get(question[2:]), self._clock.monotonic()
        if kept is None or kept.until <= now:
            metrics.CACHE_MISSES.inc()
            return None
        metrics.CACHE_HITS.labels("denial" if kept.negative else "success").inc()
        return kept.repeated(question[:2], now)

    def put(self, question: bytes, answer: bytes) -> None:
        """Keep an answer for its time to live, but never for long."""
        try:
            seconds, negative = lifetime_of(DNSRecord.parse(answer))
        except DNSError:
            return
        if seconds <= 0:
            return
        now = self._clock.monotonic()
        ttls = tuple(_ttl_offsets(answer))
        self._kept[question[2:]] = Kept(answer, now, now + seconds, ttls, negative)
        self._kept.move_to_end(question[2:])
        while len(self._kept) > LARGEST:
            self._kept.popitem(last=False)
        metrics.CACHE_ENTRIES.set(len(self._kept))


def lifetime_of(answer: DNSRecord) -> tuple[float, bool]:
    """For how many seconds an answer may be repeated, and whether it says that there is nothing."""
    if answer.header.tc:
        return 0.0, False
    if answer.header.rcode == RCODE.SERVFAIL:
        return FAILURE, True
    if answer.header.rcode not in (RCODE.NOERROR, RCODE.NXDOMAIN):
        return 0.0, False
    if answer.rr:
        return min(LONGEST, *(record.ttl for record in answer.rr)), False
    starts = [record for record in answer.auth if record.rtype == QTYPE.SOA]
    if not starts:
        return 0.0, True  # RFC 2308: nobody says for how long
    return min(LONGEST, starts[0].ttl, starts[0].rdata.times[4]), True


def _ttl_offsets(packet: bytes) -> Iterator[int]:
    """Where the times to live of all records stand; that of an OPT record is none."""
    questions, *records = struct.unpack_from("!4H", packet, 4)
    at = _HEADER
    for _ in range(questions):
        at = _after_name(packet, at) + 4
    for _ in range(sum(records)):
        at = _after_name(packet, at)
        kind, _class, _ttl, length = struct.unpack_from("!HHIH", packet, at)
        if kind != QTYPE.OPT:
            yield at + 4
        at += 10 + length


def _after_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= 0xC0:  # a pointer ends the name
            return at + 2
        at += 1 + length
    return at + 1
