"""ComponentStatuses are looked at when somebody asks, never kept: storage, scheduler and controller manager.

Like upstream, the two programs are asked where they listen when they share a machine with the API server and nobody
moved their ports. Deprecated since v1.19; `kubectl get cs` and old dashboards still ask.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping

from apiserver.storage.interface import StorageError
from kubarium.apimachinery.object import Object
from kubarium.client.lean_aiohttp import aiohttp

Check = Callable[[], Awaitable[None]]

PAGES: Mapping[str, str] = {
    "controller-manager": "https://127.0.0.1:10257/healthz",
    "scheduler": "https://127.0.0.1:10259/healthz",
}
PATIENCE = 20.0  # seconds; upstream's for one probe


async def look(storage: Check, pages: Mapping[str, str] = PAGES) -> list[Object]:
    """All components, by name; kind and version are the row's."""
    found = await asyncio.gather(
        _observed("etcd-0", storage()), *(_observed(name, _ask(url)) for name, url in pages.items())
    )
    return sorted(found, key=lambda status: str(status["metadata"]["name"]))


async def _observed(name: str, work: Awaitable[None]) -> Object:
    healthy: Object = {"type": "Healthy", "status": "True", "message": "ok"}
    try:
        async with asyncio.timeout(PATIENCE):
            await work
    except (StorageError, aiohttp.ClientError, OSError) as error:
        healthy = {"type": "Healthy", "status": "False", "message": str(error) or type(error).__name__}
    return {"metadata": {"name": name}, "conditions": [healthy]}


async def _ask(url: str) -> None:
    """Their certificates are their own; upstream does not check them either."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise ConnectionError(f"{answer.status}: {text.strip()}")
