"""The client of etcd on a real one, with and without TLS, and on servers that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from apiserver.storage.etcd_client import EtcdClient, EtcdTLS
from apiserver.storage.interface import StorageRefused, StorageUnavailable
from kubarium.component_base.certificates import Authority
from kubarium.component_base.grpc_channel import CallFailed, Channel
from tests.integration.storage.etcd import Etcd

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
async def etcd() -> AsyncIterator[Etcd]:
    server = Etcd()
    await server.start()
    yield server
    await server.remove()


@pytest.fixture
async def client(etcd: Etcd) -> AsyncIterator[EtcdClient]:
    made = EtcdClient([etcd.url])
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """A server that is no etcd."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


async def test_large_values_and_many_requests_at_once(client: EtcdClient) -> None:
    large = bytes(range(256)) * 5_600  # 1.4 MB: twenty times what a connection takes without waiting
    small = [client.create(f"/many/{at:03}", b"%d" % at) for at in range(300)]
    outcomes = await asyncio.gather(*(client.create(f"/large/{at}", large) for at in range(6)), *small)
    assert all(outcome.succeeded for outcome in outcomes)
    assert len({outcome.revision for outcome in outcomes}) == 306
    found = await client.range("/large/")
    assert [kv.value == large for kv in found.items] == [True] * 6 and found.total == 6
    page = await client.range("/many/", start_key="/many/100", limit=2, keys_only=True)
    assert [(kv.key, kv.value) for kv in page.items] == [("/many/100", b""), ("/many/101", b"")]
    assert page.more and page.total == 200


async def test_transactions(client: EtcdClient) -> None:
    made = await client.create("/a", b"")
    again = await client.create("/a", b"other")
    assert not again.succeeded and again.current is not None
    assert (again.current.value, again.current.revision) == (b"", made.revision)
    changed = await client.put_together_if({"/a": b"1", "/b": b"2"}, "/a", made.revision)
    late = await client.put_if("/a", b"late", made.revision)
    assert late.current is not None and late.current.revision == changed.revision
    gone = await client.delete_if("/a", changed.revision)
    assert gone.previous is not None and gone.previous.value == b"1"
    missing = await client.delete_if("/a", changed.revision)
    assert (missing.succeeded, missing.current, missing.revision) == (False, None, gone.revision)


async def test_a_watch_brings_what_was_there(client: EtcdClient) -> None:
    start = (await client.create("/watched/a", b"1")).revision
    changed = await client.put_if("/watched/a", b"2", start)
    await client.delete_if("/watched/a", changed.revision)
    seen = []
    async with asyncio.timeout(60):
        async for events in client.watch("/watched/", start - 1, previous=True):
            seen += [(event.value, event.previous and event.previous.value) for event in events]
            if len(seen) == 3:
                break
    assert seen == [(b"1", None), (b"2", b"1"), (None, b"2")]


async def test_refusals_are_told_in_etcds_words(client: EtcdClient) -> None:
    with pytest.raises(StorageRefused, match=r"too large|larger than max"):
        await client.create("/huge", bytes(3_000_000))
    with pytest.raises(StorageUnavailable, match=r"OUT_OF_RANGE: .*future revision"):
        await client.get("/a", revision=10**9)
    assert (await client.get("/huge"))[0] is None


async def test_a_write_that_was_cut_off_is_not_made_again(etcd: Etcd) -> None:
    asked = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"/cut-off")  # the request has come, who knows what becomes of it
        asked += 1
        writer.transport.abort()

    async with listening(hang_up) as url:
        client = EtcdClient([url, etcd.url])
        with pytest.raises(StorageUnavailable, match="UNAVAILABLE: connection lost"):
            await client.create("/cut-off", b"1")
        assert (await client.get("/cut-off"))[0] is None  # from the other one, as the next write
        client._go_on()
        assert (await client.get("/cut-off"))[0] is None  # a read is made again there
        assert asked == 2
        await client.close()


async def test_servers_that_do_not_answer() -> None:
    asked = 0

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    async def speak_http_1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with listening(be_silent) as url:
        channel = Channel(url)
        async with asyncio.timeout(60):
            while asked < 2:  # not for ever the same connection: it may be dead
                with pytest.raises(CallFailed, match=r"DEADLINE_EXCEEDED: no answer within 0.1 s"):
                    await channel.call("a.B/C", b"", 0.1)
        channel.close()
    async with listening(speak_http_1) as url:
        channel = Channel(url)
        with pytest.raises(CallFailed, match="UNAVAILABLE: no HTTP/2"):
            await channel.call("a.B/C", b"", 60)
        channel.close()
    with pytest.raises(CallFailed, match=r"UNAVAILABLE: cannot connect to 127.0.0.1:1: "):
        await Channel("http://127.0.0.1:1").call("a.B/C", b"", 60)


async def test_whoever_gives_up_does_not_disturb_the_others(etcd: Etcd) -> None:
    client = EtcdClient([etcd.url])  # not connected yet: all wait for the same connection
    impatient = asyncio.ensure_future(client.revision())
    others = [asyncio.ensure_future(client.revision()) for _ in range(3)]
    await asyncio.sleep(0)
    impatient.cancel()
    assert all(revision > 0 for revision in await asyncio.gather(*others))
    assert impatient.cancelled()
    await client.close()


async def test_tls(tmp_path: Path) -> None:
    authority, stranger = Authority.create("etcd-ca"), Authority.create("stranger")
    for name, content in (("ca", authority.cert_pem), ("other", stranger.cert_pem)):
        (tmp_path / f"{name}.crt").write_bytes(content)
    own = [str(tmp_path / name) for name in ("ca.crt", "server.crt", "server.key")]
    authority.server("etcd", ["127.0.0.1"], client_too=True).write(*own[1:])
    pair = [str(tmp_path / name) for name in ("client.crt", "client.key")]
    authority.client("apiserver").write(*pair)
    flags = ("--client-cert-auth", "--trusted-ca-file", own[0], "--cert-file", own[1], "--key-file", own[2])
    server = Etcd(tmp_path / "data", EtcdTLS(own[0], *pair), *flags)
    try:
        await server.start()
        client = EtcdClient([server.url], server.tls)
        large = bytes(1_000_000)
        assert (await client.create("/a", large)).succeeded
        assert (await client.range("/")).items[0].value == large
        await client.close()
        for tls, why in (
            (EtcdTLS(str(tmp_path / "other.crt"), *pair), "certificate verify failed"),
            (EtcdTLS(own[0]), "UNAVAILABLE"),
        ):
            client = EtcdClient([server.url], tls)
            with pytest.raises(StorageUnavailable, match=why):
                await client.revision()
            await client.close()
    finally:
        await server.remove()
