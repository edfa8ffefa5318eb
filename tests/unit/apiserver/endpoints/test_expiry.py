"""What happened too long ago: lists, continue tokens and watches that begin there."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest

from apiserver.endpoints import list as listing
from apiserver.endpoints import watch as watching
from apiserver.endpoints.continue_tokens import decode_token, encode_token
from apiserver.endpoints.server import Endpoints
from apiserver.registry.resource import Resource
from apiserver.request import LOOPBACK, RequestContext, parse_query, parse_request
from apiserver.storage.memory import MemoryStorage
from kubarium.apimachinery import errors
from kubarium.component_base.clock import FakeClock

MAPS = Resource("v1", "ConfigMap", "configmaps")


class Asking:
    """A handler's surroundings: storage in memory, and what it sends."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.sent: list[dict[str, Any]] = []
        self.storage_only = cast(Endpoints, self)

    async def make(self, *names: str) -> None:
        for name in names:
            metadata = {"name": name, "namespace": "default"}
            obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}
            await self.storage.create(MAPS.key("default", name), obj)

    async def ask(self, handle: Any, query: str) -> Any:
        self.sent.clear()
        parsed = parse_query(query.encode())
        info = parse_request("GET", "/api/v1/namespaces/default/configmaps", parsed)
        context = RequestContext(info, LOOPBACK, FakeClock(), parsed)
        scope = {"type": "http", "headers": [], "state": {}}
        await handle(self.storage_only, MAPS, context, scope, self._receive, self._send)
        return b"".join(message.get("body", b"") for message in self.sent)

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def _receive(self) -> Any:
        return {"type": "http.disconnect"}


async def test_an_expired_token_brings_another_one() -> None:
    asking = Asking()
    await asking.make("a", "b", "c", "d")
    first = orjson.loads(await asking.ask(listing.handle, "limit=2"))
    token = first["metadata"]["continue"]
    assert first["metadata"]["remainingItemCount"] == 2
    await asking.storage.delete(MAPS.key("default", "d"))
    await asking.make("e", "f")
    asking.storage.compact(await asking.storage.current_revision())
    with pytest.raises(errors.Expired) as failed:
        await asking.ask(listing.handle, f"limit=2&continue={token}")
    status = failed.value.status()
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert "too old to display a consistent list result" in status["message"]
    other = status["metadata"]["continue"]
    rest = orjson.loads(await asking.ask(listing.handle, f"limit=2&continue={other}"))
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "e"]
    assert rest["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    revision, start = decode_token(rest["metadata"]["continue"])
    assert (str(revision), start) == (rest["metadata"]["resourceVersion"], "e\0")


async def test_an_exact_revision_that_is_forgotten() -> None:
    asking = Asking()
    await asking.make("a", "b")
    asking.storage.compact(await asking.storage.current_revision())
    with pytest.raises(errors.Expired, match="for the provided list is too old"):
        await asking.ask(listing.handle, "resourceVersion=1&resourceVersionMatch=Exact")


async def test_a_watch_from_long_ago_is_refused_in_the_stream() -> None:
    asking = Asking()
    await asking.make("a", "b", "c")
    asking.storage.compact(await asking.storage.current_revision())
    event = orjson.loads(await asking.ask(watching.handle, "watch=1&resourceVersion=1"))
    assert asking.sent[0]["status"] == 200
    assert event["type"] == "ERROR"
    assert event["object"]["reason"] == "Expired"
    assert event["object"]["message"] == "too old resource version: 1 (4)"


async def test_an_exact_revision_that_has_not_come_is_not_waited_for() -> None:
    with pytest.raises(errors.Timeout, match="Too large resource version: 99, current: 1") as failed:
        await Asking().ask(listing.handle, "resourceVersion=99&resourceVersionMatch=Exact")
    assert "retryAfterSeconds" not in failed.value.status()["details"]


@pytest.mark.parametrize(
    "query", ["watch=1&allowWatchBookmarks=1", "watch=1&resourceVersion=0&allowWatchBookmarks=1"]
)
async def test_old_ways_to_begin_a_watch_are_lists_that_come_as_watches(query: str) -> None:
    """Upstream fills in `sendInitialEvents`: the bookmark says where the list ends."""
    asking = Asking()
    await asking.make("a")
    found = (await asking.ask(watching.handle, query)).splitlines()
    added, bookmark = (orjson.loads(line) for line in found)
    assert added["object"]["metadata"]["name"] == "a"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    with pytest.raises(errors.Invalid, match="resourceVersionMatch is forbidden when continue is provided"):
        await asking.ask(watching.handle, query + "&continue=x")


@pytest.mark.parametrize("start", ["//etc", "../x", "a/../b", "a//b", "a/"])
def test_tokens_stay_below_their_prefix(start: str) -> None:
    with pytest.raises(errors.BadRequest, match="continue key is not valid"):
        decode_token(encode_token(5, start))
