"""Questions over the wire: EDNS, TCP, what is forwarded and remembered, and what is no good question."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dnslib import EDNS0, QTYPE, RCODE, RR, SOA, A, DNSHeader, DNSQuestion, DNSRecord

from addons.dns.cache import Cache
from addons.dns.forward import Forwarder
from addons.dns.server import LARGEST_UDP, Server
from addons.dns.zone import Zone
from kubarium.component_base.clock import FakeClock

Respond = Callable[[DNSRecord], DNSRecord]


def make_zone(services: int = 1) -> Zone:
    zone = Zone("cluster.local")
    zone.put_namespace({"metadata": {"name": "default"}})
    metadata = {"name": "web", "namespace": "default"}
    zone.put_service({"metadata": metadata, "spec": {"clusterIP": "None", "ports": []}})
    endpoints = [{"addresses": [f"10.1.{i // 250}.{i % 250}"]} for i in range(services)]
    labels = {"kubernetes.io/service-name": "web"}
    slice_ = {"metadata": {**metadata, "labels": labels}, "addressType": "IPv4", "endpoints": endpoints}
    zone.put_slice(slice_)
    return zone


def question(name: str = "web.default.svc.cluster.local", kind: str = "A", size: int = 0) -> bytes:
    record = DNSRecord.question(name, kind)
    if size:
        record.add_ar(EDNS0(udp_len=size))
    return bytes(record.pack())


@asynccontextmanager
async def resolver(respond: Respond) -> AsyncIterator[tuple[int, list[str]]]:
    """A resolver of the node: its port, and what it was asked."""
    asked: list[str] = []

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            request = DNSRecord.parse(data)
            asked.append(str(request.q.qname))
            self.transport.sendto(respond(request).pack(), addr)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = DNSRecord.parse(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        reply = request.reply()
        reply.add_answer(RR(str(request.q.qname), QTYPE.A, rdata=A("9.9.9.9"), ttl=60))
        packed = reply.pack()
        writer.write(len(packed).to_bytes(2) + packed)
        await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    while True:
        tcp = await asyncio.start_server(converse, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        try:
            udp, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", port))
            break
        except OSError:  # somebody has the same number of the other kind
            tcp.close()
    try:
        yield port, asked
    finally:
        udp.close()
        tcp.close()


def known(request: DNSRecord) -> DNSRecord:
    reply = request.reply()
    reply.add_answer(RR(str(request.q.qname), QTYPE.A, rdata=A("8.8.8.8"), ttl=20))
    return reply


def unknown(request: DNSRecord) -> DNSRecord:
    reply = request.reply()
    reply.header.rcode = RCODE.NXDOMAIN
    reply.add_auth(RR("example.com", QTYPE.SOA, rdata=SOA("ns", "mail", (1, 2, 3, 4, 10)), ttl=300))
    return reply


async def test_whoever_speaks_edns_gets_it_back() -> None:
    server = Server(make_zone(), Forwarder([]))
    reply = DNSRecord.parse(await server.answer(question(size=1232), tcp=False) or b"")
    assert [record.edns_len for record in reply.ar if record.rtype == QTYPE.OPT] == [LARGEST_UDP]
    assert not DNSRecord.parse(await server.answer(question(), tcp=False) or b"").ar


async def test_what_does_not_fit_is_cut_unless_the_client_takes_more() -> None:
    server = Server(make_zone(100), Forwarder([]))
    short = DNSRecord.parse(await server.answer(question(), tcp=False) or b"")
    assert short.header.tc and not short.rr
    assert len(DNSRecord.parse(await server.answer(question(size=4096), tcp=False) or b"").rr) == 100
    assert len(DNSRecord.parse(await server.answer(question(), tcp=True) or b"").rr) == 100


async def test_the_order_of_several_addresses_changes_also_when_they_are_remembered() -> None:
    zone = make_zone(4)
    server = Server(zone, Forwarder([]))
    asked = question()
    while server.packed(asked) is None:
        await server.answer(asked, tcp=False)
    orders = {tuple(map(str, DNSRecord.parse(server.packed(asked) or b"").rr)) for _ in range(200)}
    assert len(orders) > 1 and len({tuple(sorted(order)) for order in orders}) == 1
    zone.put_namespace({"metadata": {"name": "new"}})
    assert server.packed(asked) is None, "something has changed"


async def test_bad_questions_are_told_so() -> None:
    server = Server(make_zone(), Forwarder([]))

    async def code(packet: bytes) -> int:
        return DNSRecord.parse(await server.answer(packet, tcp=False) or b"").header.rcode

    chaos = DNSRecord(q=DNSQuestion("version.bind", QTYPE.TXT, 3))
    assert await code(chaos.pack()) == RCODE.REFUSED
    notify = DNSRecord(DNSHeader(opcode=4), q=DNSQuestion("cluster.local"))
    assert await code(notify.pack()) == RCODE.NOTIMP
    assert (await server.answer(question()[:-3], tcp=False) or b"")[3] & 0xF == RCODE.FORMERR
    assert await server.answer(b"noise", tcp=False) is None


async def test_foreign_names_are_forwarded_and_remembered_with_their_age() -> None:
    clock = FakeClock()
    async with resolver(known) as (port, asked):
        server = Server(make_zone(), Forwarder(["127.0.0.1"], port), clock)
        first = question("example.com")
        assert DNSRecord.parse(await server.answer(first, tcp=False) or b"").rr[0].ttl == 20
        await clock.advance(15)
        again = question("example.com")
        reply = DNSRecord.parse(await server.answer(again, tcp=False) or b"")
        assert (reply.rr[0].ttl, reply.header.id) == (5, DNSRecord.parse(again).header.id)
        assert asked == ["example.com."]
        await clock.advance(6)
        await server.answer(question("example.com"), tcp=False)
        assert asked == ["example.com."] * 2


async def test_that_a_name_does_not_exist_is_remembered_as_long_as_its_zone_says() -> None:
    clock = FakeClock()
    async with resolver(unknown) as (port, asked):
        server = Server(make_zone(), Forwarder(["127.0.0.1"], port), clock)
        for seconds, count in ((0, 1), (9, 1), (2, 2)):
            await clock.advance(seconds)
            reply = DNSRecord.parse(await server.answer(question("example.com"), tcp=False) or b"")
            assert reply.header.rcode == RCODE.NXDOMAIN and len(asked) == count


async def test_what_was_cut_is_fetched_whole_for_a_connection() -> None:
    def cut(request: DNSRecord) -> DNSRecord:
        reply = request.reply()
        reply.header.tc = 1
        return reply

    async with resolver(cut) as (port, _):
        server = Server(make_zone(), Forwarder(["127.0.0.1"], port))
        assert DNSRecord.parse(await server.answer(question("example.com"), tcp=False) or b"").header.tc
        assert DNSRecord.parse(await server.answer(question("example.com"), tcp=True) or b"").rr


async def test_without_resolvers_the_failure_is_short() -> None:
    clock = FakeClock()
    server = Server(make_zone(), Forwarder([]), clock)
    reply = DNSRecord.parse(await server.answer(question("example.com"), tcp=False) or b"")
    assert reply.header.rcode == RCODE.SERVFAIL


async def test_resolvers_may_change(tmp_path: Path) -> None:
    clock, conf = FakeClock(), tmp_path / "resolv.conf"
    async with resolver(known) as (port, asked):
        forwarder = Forwarder([], port)
        conf.write_text("search x\nnameserver 127.0.0.1\n")
        following = asyncio.create_task(forwarder.follow(str(conf), 30.0, clock))
        await clock.advance(31)
        assert await forwarder.ask(question("example.com")) and asked
        following.cancel()


def test_only_answers_that_may_be_repeated_are_kept() -> None:
    cache, asked = Cache(FakeClock()), question("example.com")
    request = DNSRecord.parse(asked)
    refused = request.reply()
    refused.header.rcode = RCODE.REFUSED
    for reply in (refused, request.reply()):  # nobody says for how long there is nothing
        cache.put(asked, reply.pack())
        assert cache.get(asked) is None
