"""kr8s, unmodified."""

import kr8s
import pytest

from tests.integration.running import ApiServer

pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # kr8s warns of versions newer than itself, and leaves sockets open


async def test_it_finds_kinds_by_discovery_and_works_with_them(
    api_server: ApiServer, namespace_name: str
) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(api_server.kubeconfig()), namespace=namespace_name)
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"a": "1"}}
    page = await kr8s.asyncio.objects.ConfigMap(manifest, api=api)
    await page.create()
    assert await page.exists()
    await page.patch({"data": {"b": "2"}})
    assert page.raw["data"] == {"a": "1", "b": "2"}
    assert "page" in [found.name async for found in api.get("configmaps", namespace=namespace_name)]
    await page.delete()
    await page.wait("delete")
    assert not await page.exists()
