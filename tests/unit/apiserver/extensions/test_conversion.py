"""Watches whose objects a webhook converts, while it fails."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.webhook_answers import CallFailed
from apiserver.extensions.conversion import ConversionWebhook, ConvertingStorage, View
from apiserver.storage.interface import Watch
from apiserver.storage.memory import MemoryStorage

Object = dict[str, Any]


class World:
    """Objects kept as v1, looked at as v2."""

    def __init__(self) -> None:
        self.kept = MemoryStorage()
        self.storage = ConvertingStorage(self.kept)
        self.fails = False
        webhook = ConversionWebhook({}, self._call)
        view = View("g.io/v2", "g.io/v1", webhook, lambda obj: obj, lambda obj: obj, "mark")
        self.prefix = f"/registry/{self.storage.add('g.io', 'things', view)}/"

    async def _call(self, config: Object, review: Object, seconds: float) -> Object:
        if self.fails:
            raise CallFailed("not today")
        request = review["request"]
        found = [{**obj, "apiVersion": request["desiredAPIVersion"]} for obj in request["objects"]]
        answer = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": found}
        return {**review, "response": answer}

    async def make(self, name: str) -> int:
        obj = {"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "x"}}
        return (await self.kept.create(f"/registry/g.io/things/x/{name}", obj)).revision

    async def watch(self) -> Watch:
        return await self.storage.watch(self.prefix, after_revision=await self.kept.current_revision())


async def test_changes_wait_until_they_can_be_converted() -> None:
    world = World()
    watch = await world.watch()
    begin = watch.revision
    world.fails = True
    made = await world.make("a")
    for _ in range(2):  # a reminder comes through: the stream may have to end, or to tell how far it is
        watch.wake()
        assert await anext(watch) == ()
        assert begin <= watch.revision < made  # whoever comes again from there misses nothing
    world.fails = False
    (change,) = await anext(watch)
    assert change.current is not None
    assert (change.current.obj["apiVersion"], change.revision) == ("g.io/v2", made)
    assert watch.revision >= made
    watch.close()


async def test_a_watch_that_waits_ends_when_nobody_listens() -> None:
    world = World()
    watch = await world.watch()
    world.fails = True
    await world.make("a")
    watch.wake()
    assert await anext(watch) == ()
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
