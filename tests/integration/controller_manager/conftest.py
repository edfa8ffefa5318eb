"""One controller manager for all stories of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubarium.client.rest import Client
from tests.integration.controller_manager.world import ControllerManager, World
from tests.integration.running import ApiServer

ALONE = "--leader-elect=false"  # it must not end when this machine is too slow to renew a lease


@pytest.fixture(scope="package")
def controller_manager(
    api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControllerManager]:
    manager = ControllerManager(tmp_path_factory.mktemp("controller-manager"), api_server, ALONE)
    manager.start()
    yield manager
    code = manager.stop()
    log = Path(manager.folder / "controller-manager.log").read_text()
    assert code == 0, log[-4000:]
    beyond_rights = [
        line for line in log.splitlines() if "cannot" in line and 'is forbidden: User "system:' in line
    ]
    assert not beyond_rights, beyond_rights[:5]
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]


@pytest.fixture
async def world(controller_manager: ControllerManager, client: Client, namespace: str) -> World:
    found = World(client, namespace)

    async def account() -> bool:  # whoever makes pods needs it, and admission does not wait for long
        return bool(await found.get("v1", "serviceaccounts", "default"))

    await found.until(account)
    return found
