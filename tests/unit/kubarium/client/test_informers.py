"""Caches that are of no use any more say so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.client.informer import Informers


async def test_a_cache_that_cannot_be_kept_ends_all_of_them() -> None:
    server = FakeAPI()
    informers = Informers(server.client())
    secrets, config_maps = informers.informer("v1", "secrets"), informers.informer("v1", "configmaps")

    def first_letter(obj: Object) -> list[str]:
        data: Any = obj["data"]
        return [data["a"][0]]

    config_maps.add_index("letter", first_letter)
    running = asyncio.ensure_future(informers.run())
    async with asyncio.timeout(60.0):
        await secrets.synced()
        await config_maps.synced()
        server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": ""}})
        with pytest.raises(IndexError):
            await running
