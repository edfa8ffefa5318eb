"""A control loop's own port: who is let in, by which authority; what it shows."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery.errors import Forbidden
from kubarium.client import client_authorities
from kubarium.client.client_authorities import ClientAuthorities
from kubarium.client.delegated_access import Door, Rules, Vouchers
from kubarium.client.fake import FakeAPI
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.client.secure_pages import SecurePages
from kubarium.component_base import profiling
from kubarium.component_base.certificates import Authority
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.issuers import Issuers
from kubarium.component_base.memory_files import MemoryFiles
from kubarium.component_base.secure_serving import SecureServing, key_pair
from tests.integration.running import free_port

PROXY_HEADERS = {"X-Remote-User": "jane", "X-Remote-Group": "system:masters"}


@dataclass(frozen=True)
class World:
    """Two authorities, and a client of each."""

    directory: Path
    clients: Authority
    proxies: Authority

    @classmethod
    def create(cls, directory: Path) -> World:
        found = cls(directory, Authority.create("clients"), Authority.create("proxies"))
        (directory / "clients.crt").write_bytes(found.clients.cert_pem)
        (directory / "proxies.crt").write_bytes(found.proxies.cert_pem)
        found.clients.server("loop", ["127.0.0.1"]).write(directory / "s.crt", directory / "s.key")
        found.clients.client("admin", ["system:masters"]).write(directory / "a.crt", directory / "a.key")
        found.proxies.client("front-proxy-client", ["system:masters"]).write(
            directory / "p.crt", directory / "p.key"
        )
        return found

    def flags(self, port: int, **more: Any) -> SecureServing:
        return SecureServing(
            bind_address="127.0.0.1",
            secure_port=port,
            tls_cert_file=str(self.directory / "s.crt"),
            tls_private_key_file=str(self.directory / "s.key"),
            client_ca_file=str(self.directory / "clients.crt"),
            requestheader_client_ca_file=str(self.directory / "proxies.crt"),
            **more,
        )

    def client(self, port: int, pair: str, **headers: str) -> Client:
        return Client(
            ClientConfig(
                server=f"https://127.0.0.1:{port}",
                ca_file=str(self.directory / "clients.crt"),
                cert_file=str(self.directory / f"{pair}.crt") if pair else "",
                key_file=str(self.directory / f"{pair}.key") if pair else "",
            ),
            headers={"Accept": "*/*", **headers},
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.create(tmp_path_factory.mktemp("authorities"))


@asynccontextmanager
async def serving(flags: SecureServing) -> AsyncIterator[None]:
    task = asyncio.create_task(SecurePages("loop", flags, FakeClock()).serve())
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", flags.secure_port)
                writer.close()
                break
            except ConnectionError:
                assert not task.done()
                await asyncio.sleep(0.01)
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_front_proxy_speaks_for_others_and_not_for_itself(world: World) -> None:
    port = free_port()
    admin, proxy = world.client(port, "a"), world.client(port, "p", **PROXY_HEADERS)
    itself = world.client(
        port, "p"
    )  # its certificate says system:masters, which its authority cannot vouch for
    liar, stranger = (
        world.client(port, "a", **{"X-Remote-User": "jane"}),
        world.client(port, "", **PROXY_HEADERS),
    )
    async with serving(world.flags(port)), admin, proxy, itself, liar, stranger:
        for known in (admin, proxy, liar):
            assert "loop statusz" in await known.request("GET", "/statusz")
        for nobody in (itself, stranger):
            with pytest.raises(Forbidden, match="system:anonymous"):
                await nobody.request("GET", "/statusz")
        assert "SecurePages.serve" in await admin.request("GET", "/debug/pprof/goroutine?debug=2")
        assert "cmdline" in await admin.request("GET", "/debug/pprof/")


async def test_only_proxies_with_a_name_that_is_allowed_are_believed(world: World) -> None:
    port = free_port()
    proxy = world.client(port, "p", **PROXY_HEADERS)
    async with serving(world.flags(port, requestheader_allowed_names=("another",), profiling=False)), proxy:
        with pytest.raises(Forbidden):
            await proxy.request("GET", "/statusz")


async def test_what_a_proxy_says_reaches_the_question_who_may(world: World) -> None:
    certificate = {"subject": ((("commonName", "front-proxy-client"),),)}
    der = ssl.PEM_cert_to_DER_cert((world.directory / "p.crt").read_text())
    known = client_authorities.of_flags(world.flags(1, requestheader_uid_headers=("X-Remote-Uid",)))
    vouchers = Vouchers(
        Issuers.load(known.clients), Issuers.load(known.proxies), known.proxy_names, known.headers
    )
    asked: list[Any] = []
    door = Door(None, None, FakeClock(), Rules(), vouchers)

    async def ask(user: Any, wanted: Any) -> bool:
        asked.append(user)
        return True

    door._ask = ask  # type: ignore[method-assign]
    headers = [
        (b"x-remote-user", b"jane"), (b"x-remote-uid", b"7"), (b"x-remote-group", b"a"), (b"x-remote-group", b"b"),
        (b"x-remote-extra-scopes", b"read"),
    ]  # fmt: skip
    state = {"client_cert": certificate, "client_cert_der": der}
    await door.enter({"state": state, "headers": headers, "method": "GET", "path": "/metrics"})
    assert (asked[0].name, asked[0].uid, asked[0].groups) == ("jane", "7", ("a", "b", "system:authenticated"))
    assert asked[0].extra == (("scopes", ("read",)),)


async def test_authorities_are_looked_up_where_no_flag_names_them(world: World) -> None:
    api = FakeAPI()
    client = api.client()
    data = {
        "client-ca-file": (world.directory / "clients.crt").read_text(),
        "requestheader-client-ca-file": (world.directory / "proxies.crt").read_text(),
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Who"]),
    }
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
    metadata = {"name": client_authorities.CONFIG_MAP, "namespace": "kube-system"}
    await client.resource("v1", "configmaps").create({**body, "metadata": metadata})
    with MemoryFiles() as files:
        found = await client_authorities.look_up(SecureServing(), client, FakeClock(), files)
        clients = ssl.PEM_cert_to_DER_cert((world.directory / "a.crt").read_text())
        assert Issuers.load(found.clients).issued(clients)
        assert Issuers.load(found.proxies).issued(
            ssl.PEM_cert_to_DER_cert((world.directory / "p.crt").read_text())
        )
        assert found.proxy_names == {"front-proxy-client"}
        identity = found.headers.identity({"x-who": "jane"})
        assert identity is not None and identity.name == "jane"
        skips = SecureServing(authentication_skip_lookup=True)
        alone = await client_authorities.look_up(skips, client, FakeClock(), files)
        assert alone == ClientAuthorities(headers=alone.headers)


def test_a_self_made_certificate_leaves_no_file() -> None:
    with MemoryFiles() as files:
        cert, key = key_pair(SecureServing(), "kube-scheduler", files)
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    assert not Path(key).exists()


async def test_stacks_lead_from_a_task_to_what_it_waits_for() -> None:
    never = asyncio.Event()

    async def inner() -> None:
        await never.wait()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer(), name="the patient one")
    await asyncio.sleep(0)
    block = next(block for block in profiling.stacks().split("\n\n") if "the patient one" in block)
    task.cancel()
    lines = [line for line in block.splitlines() if line.endswith("()")]
    assert lines[0] == "Event.wait()"
    assert [line.rpartition(".")[2] for line in lines[1:]] == ["inner()", "outer()"]
