"""A real etcd and a real API server for every integration test: one of each for the whole session."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kubarium.apimachinery import names
from kubarium.apimachinery.errors import AlreadyExists
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Etcd


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """A running etcd with an empty data directory."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed")
    member = Etcd(tmp_path_factory.mktemp("etcd"))
    member.start()
    yield member
    member.stop()


@pytest.fixture(scope="session")
def api_server(etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running API server: TLS, client certificates, RBAC."""
    server = ApiServer(tmp_path_factory.mktemp("apiserver"), etcd.url)
    server.start()
    yield server
    assert server.stop() == 0, Path(server.folder / "apiserver.log").read_text()[-4000:]


@pytest.fixture
async def client(api_server: ApiServer) -> AsyncIterator[Client]:
    """The administrator."""
    async with api_server.client() as admin:
        yield admin


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = names.generate_name("test-")
    namespaces = client.resource("v1", "namespaces")
    await namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await namespaces.delete(name)


@pytest.fixture
async def default_account(client: Client, namespace: str) -> str:
    """The test's namespace, with the account `default` that pods need; where a controller runs, it may be there."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    with contextlib.suppress(AlreadyExists):
        await client.resource("v1", "serviceaccounts").create(account, namespace)
    return namespace
