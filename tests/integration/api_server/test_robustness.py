"""Two API servers on one etcd: they agree, survive its death and forgetting, restart, and refuse what is too large.

They encrypt secrets, with a file that changes while they run, and keep events in an etcd of their own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from apiserver.storage.etcd_client import EtcdClient
from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Etcd

MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"
SECRETS = "/api/v1/namespaces/default/secrets"
LATE = 120.0  # seconds: what hangs fails here, not what is slow

Object = dict[str, Any]


@pytest.fixture(scope="module")
def own_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd that may be killed."""
    member = Etcd(tmp_path_factory.mktemp("own-etcd"))
    member.start()
    yield member
    member.stop()


def write_keys(file: Path, *names: str) -> Path:
    """Let secrets be encrypted with the first of some keys, and read with all."""
    keys = [{"name": name, "secret": base64.b64encode(name.encode() * 8).decode()} for name in names]
    rule = {"resources": ["secrets"], "providers": [{"aescbc": {"keys": keys}}, {"identity": {}}]}
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    fresh = file.with_suffix(".fresh")
    fresh.write_text(yaml.safe_dump({**head, "resources": [rule]}))
    return fresh.rename(file)


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which both servers watch."""
    return write_keys(tmp_path_factory.mktemp("keys") / "encryption.yaml", "key1")


@pytest.fixture(scope="module")
def etcd_of_events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd that keeps nothing but events."""
    member = Etcd(tmp_path_factory.mktemp("etcd-of-events"))
    member.start()
    yield member
    member.stop()


@pytest.fixture(scope="module")
def servers(
    own_etcd: Etcd, etcd_of_events: Etcd, keys_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ApiServer, ApiServer]]:
    """Two servers of one cluster."""
    flags = [
        f"--encryption-provider-config={keys_file}",
        "--encryption-provider-config-automatic-reload",
        f"--etcd-servers-overrides=/events#{etcd_of_events.url}",
    ]
    one = ApiServer(tmp_path_factory.mktemp("one"), own_etcd.url, None, *flags)
    other = ApiServer(tmp_path_factory.mktemp("other"), own_etcd.url, one.credentials, *flags)
    one.start()
    other.start()
    yield one, other
    codes = [one.stop(), other.stop()]
    assert codes == [0, 0]


@pytest.fixture
async def clients(servers: tuple[ApiServer, ApiServer]) -> AsyncIterator[tuple[Client, Client]]:
    """The administrator at each."""
    async with servers[0].client() as one, servers[1].client() as other:
        yield one, other


async def make(client: Client, name: str) -> str:
    """A fresh config map; its revision."""
    with contextlib.suppress(errors.NotFound):
        await client.request("DELETE", f"{MAPS}/{name}")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": ""}}
    return revision_of(await client.request("POST", MAPS, body=body))


async def change(client: Client, name: str, value: str) -> str:
    """Set its value; its new revision."""
    headers = {"Content-Type": "application/merge-patch+json"}
    return revision_of(
        await client.request("PATCH", f"{MAPS}/{name}", body={"data": {"x": value}}, headers=headers)
    )


def revision_of(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])


class Watch:
    """What a watch of one config map has told so far."""

    def __init__(self, client: Client, name: str, after: str) -> None:
        query = {"watch": "1", "resourceVersion": after, "fieldSelector": f"metadata.name={name}"}
        self.events: list[Object] = []
        self.more = asyncio.Condition()
        self.task = asyncio.ensure_future(self._read(client, query))

    async def _read(self, client: Client, query: Object) -> None:
        pending = b""
        async with client.stream("GET", MAPS, query=query) as answer:
            async for chunk in answer.chunks():
                *lines, pending = (pending + chunk).split(b"\n")
                async with self.more:
                    self.events += [orjson.loads(line) for line in lines]
                    self.more.notify_all()

    async def revisions(self, count: int) -> list[str]:
        """The revisions of the first events, when there are so many."""
        async with asyncio.timeout(LATE), self.more:
            await self.more.wait_for(lambda: len(self.events) >= count or self.task.done())
        return [revision_of(event["object"]) for event in self.events]

    async def close(self) -> None:
        """Hang up."""
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_what_one_server_writes_the_other_knows_at_once(clients: tuple[Client, Client]) -> None:
    one, other = clients
    start = await make(one, "shared")
    watches = [Watch(client, "shared", start) for client in clients]
    written = []
    for at in range(20):
        writer, reader = (one, other) if at % 2 else (other, one)
        written.append(await change(writer, "shared", str(at)))
        assert revision_of(await reader.request("GET", f"{MAPS}/shared")) == written[-1]
        found = await reader.request("GET", MAPS, query={"fieldSelector": "metadata.name=shared"})
        assert [revision_of(item) for item in found["items"]] == [written[-1]]
        assert int(revision_of(found)) >= int(written[-1])
    for watch in watches:
        assert await watch.revisions(20) == written
        await watch.close()
    stale = await one.request("GET", f"{MAPS}/shared")
    await change(other, "shared", "newer")
    with pytest.raises(errors.Conflict):
        await one.request("PUT", f"{MAPS}/shared", body=stale | {"data": {"x": "stale"}})


async def readable(client: Client, path: str) -> Object:
    """What is there, once the server has the key for it."""
    async with asyncio.timeout(LATE):
        while True:
            try:
                found: Object = await client.request("GET", path)
                return found
            except errors.InternalError as error:
                assert "no matching key was found for the provided AES transformer" in str(error)
                await asyncio.sleep(0.05)


async def test_secrets_are_unreadable_in_etcd(
    own_etcd: Etcd, keys_file: Path, clients: tuple[Client, Client]
) -> None:
    """Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/."""
    one, other = clients
    place = "/registry/secrets/default/secret1"
    etcd = EtcdClient([own_etcd.url])

    async def in_etcd() -> bytes:
        found, _ = await etcd.get(place)
        assert found is not None
        return found.value

    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "secret1"},
        "stringData": {"a": "mydata"},
    }
    written = await one.request("POST", SECRETS, body=secret)
    assert (await in_etcd()).startswith(b"k8s:enc:aescbc:v1:key1:")
    assert b"bXlkYXRh" not in await in_etcd()
    assert (await other.request("GET", f"{SECRETS}/secret1"))["data"] == {"a": "bXlkYXRh"}
    assert await one.request("PUT", f"{SECRETS}/secret1", body=written) == written  # sealed as it should be

    write_keys(keys_file, "key2", "key1")
    async with asyncio.timeout(LATE):
        while not (await in_etcd()).startswith(b"k8s:enc:aescbc:v1:key2:"):  # until the file has been seen
            written = await one.request("PUT", f"{SECRETS}/secret1", body=written)
            await asyncio.sleep(0.05)
    assert (await readable(other, f"{SECRETS}/secret1")) == written

    strange = "/registry/secrets/default/strange"
    await etcd.create(strange, b"k8s:enc:aescbc:v1:gone:0123456789abcdef")
    why = "no matching key was found for the provided AES transformer"
    with pytest.raises(errors.InternalError, match=f"^Internal error occurred: {why}$"):
        await one.request("GET", f"{SECRETS}/strange")
    with pytest.raises(errors.InternalError, match=f'unable to transform key "{strange}": {why}$'):
        await one.request("GET", SECRETS)
    found, _ = await etcd.get(strange)
    assert found is not None
    await etcd.delete_if(strange, found.revision)
    assert [item["metadata"]["name"] for item in (await one.request("GET", SECRETS))["items"]] == ["secret1"]
    await etcd.close()


async def test_events_live_in_an_etcd_of_their_own(
    own_etcd: Etcd, etcd_of_events: Etcd, clients: tuple[Client, Client]
) -> None:
    one, other = clients
    involved = {"kind": "Pod", "namespace": "default", "name": "web"}
    made = await one.request(
        "POST", EVENTS, body={"metadata": {"name": "told"}, "involvedObject": involved, "reason": "Told"}
    )
    new = await other.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events/told")
    assert revision_of(new) == revision_of(made)
    main, aside = EtcdClient([own_etcd.url]), EtcdClient([etcd_of_events.url])
    assert not (await main.range("/registry/events/")).items
    assert "/registry/events/default/told" in [kv.key for kv in (await aside.range("/registry/")).items]
    last = revision_of(await one.request("DELETE", EVENTS))
    assert int(last) <= await aside.revision()  # a revision of the etcd that was asked
    assert "[+]etcd-override-0 ok\n" in await one.request("GET", "/livez", query={"verbose": "1"})
    etcd_of_events.kill()
    with pytest.raises((errors.ServiceUnavailable, errors.InternalError)):
        await one.request("GET", EVENTS)
    await one.request("GET", MAPS)
    with pytest.raises(errors.StatusError) as unready:
        await one.request("GET", "/readyz/etcd-override-readiness-0")
    assert unready.value.code == 500
    assert await one.request("GET", "/readyz/etcd-readiness") == "ok"
    etcd_of_events.start()
    assert (await until_it_works(lambda: other.request("GET", EVENTS)))["items"] == []
    assert await until_it_works(lambda: one.request("GET", "/readyz")) == "ok"
    await main.close()
    await aside.close()


async def test_etcd_may_die_under_watches(own_etcd: Etcd, clients: tuple[Client, Client]) -> None:
    one, other = clients
    start = await make(one, "kept")
    await other.request("GET", f"{MAPS}/kept")
    watches = [Watch(client, "kept", start) for client in clients]
    own_etcd.kill()
    with pytest.raises((errors.ServiceUnavailable, errors.InternalError)):
        await change(one, "kept", "never")
    with pytest.raises((errors.ServiceUnavailable, errors.InternalError)):
        await one.request("GET", f"{MAPS}/kept")
    with pytest.raises(errors.StatusError) as unready:
        await one.request("GET", "/readyz")
    assert unready.value.code == 500
    cached = await one.request("GET", f"{MAPS}/kept", query={"resourceVersion": "0"})
    assert revision_of(cached) == start  # who does not mind is answered from memory
    own_etcd.start()
    written = [await until_it_works(lambda: change(other, "kept", "0"))]
    written += [await change(other, "kept", str(at)) for at in range(1, 20)]
    for watch in watches:
        assert await watch.revisions(20) == written
        await watch.close()
    assert revision_of(await until_it_works(lambda: one.request("GET", f"{MAPS}/kept"))) == written[-1]
    assert await until_it_works(lambda: one.request("GET", "/readyz")) == "ok"


async def until_it_works(ask: Callable[[], Awaitable[Any]]) -> Any:
    """A server's connections to etcd are not there again at one moment."""
    async with asyncio.timeout(LATE):
        while True:
            with contextlib.suppress(errors.StatusError):
                return await ask()
            await asyncio.sleep(0.01)


async def test_etcd_may_forget_under_watches(own_etcd: Etcd, clients: tuple[Client, Client]) -> None:
    one, other = clients
    start = await make(one, "compacted")
    watches = [Watch(client, "compacted", start) for client in clients]
    written = [await change(one, "compacted", str(at)) for at in range(5)]
    etcd = EtcdClient([own_etcd.url])
    await etcd.compact(int(written[-1]))
    await etcd.close()
    written += [await change(other, "compacted", str(at)) for at in range(5, 10)]
    for watch in watches:
        assert await watch.revisions(10) == written
        await watch.close()
    late = Watch(one, "compacted", start)  # what etcd has forgotten, the server still knows
    assert await late.revisions(10) == written
    await late.close()


async def ask_again(client: Client) -> None:
    """Watch, and watch again at once whenever that ends, until nobody answers."""
    with contextlib.suppress(OSError, errors.StatusError):
        while True:
            async with client.stream("GET", MAPS, query={"watch": "1"}) as answer:
                async for _ in answer.chunks():
                    pass


async def test_watches_go_on_behind_a_restart(
    servers: tuple[ApiServer, ApiServer], clients: tuple[Client, Client]
) -> None:
    one, _ = clients
    start = await make(one, "again")
    async with servers[1].client() as before:
        watch = Watch(before, "again", start)
        written = [await change(before, "again", str(at)) for at in range(3)]
        assert await watch.revisions(3) == written
        eager = [asyncio.create_task(ask_again(before)) for _ in range(5)]
        assert await asyncio.to_thread(servers[1].stop) == 0
        async with asyncio.timeout(LATE):
            await watch.task  # the stream ended as a stream should, without an error
            await asyncio.gather(*eager)
    assert "graceful shutdown exceeded" not in (servers[1].folder / "apiserver.log").read_text()
    written += [await change(one, "again", str(at)) for at in range(3, 6)]
    await asyncio.to_thread(servers[1].start)
    async with servers[1].client() as after:
        watch = Watch(after, "again", start)
        assert await watch.revisions(6) == written
        await watch.close()


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_large_requests_are_refused(clients: tuple[Client, Client]) -> None:
    one, _ = clients
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "large"},
        "data": {"x": "x" * (3 << 20)},
    }
    with pytest.raises(errors.RequestEntityTooLarge):
        await one.request("POST", MAPS, body=body)
    headers = {"Content-Type": "application/merge-patch+json"}
    with pytest.raises(errors.RequestEntityTooLarge):
        await one.request("PATCH", f"{MAPS}/large", body=body, headers=headers)
    rules = [{"apiGroups": [""], "resources": ["x" * 100], "verbs": ["get"]}] * 11_500
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    with pytest.raises(errors.StatusError) as failed:  # small enough for us, too large for etcd
        await one.request(
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            body=role | {"metadata": {"name": "large"}, "rules": rules},
        )
    assert (failed.value.code, failed.value.message) == (500, "etcdserver: request is too large")


async def test_a_request_in_chunks_has_a_limit_too(servers: tuple[ApiServer, ApiServer]) -> None:
    config = servers[0].config()
    context: ssl.SSLContext | None = config.ssl_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", servers[0].port, ssl=context)
    head = f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        for _ in range(64):
            writer.write(chunk)
            await writer.drain()
    async with asyncio.timeout(LATE):
        assert (await reader.readline()).split()[1] == b"413"
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
