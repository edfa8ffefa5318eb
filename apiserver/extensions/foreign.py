"""What an aggregated server says of itself: its resources, its schemas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from multidict import CIMultiDict
from yarl import URL

from apiserver.endpoints import discovery, openapi_merging
from apiserver.endpoints.discovery import RemoteGroup
from apiserver.endpoints.openapi_merging import ForeignSchemas
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.component_base import logging

log = logging.get(__name__)

ANSWER_SECONDS = 5.0
_SCHEMA_SECONDS = 60.0
_AGGREGATED = [discovery.AGGREGATED.format(version) for version in discovery.AGGREGATED_VERSIONS]


class BadAnswer(Exception):
    """The server does not answer, or not as it should."""


@dataclass(frozen=True)
class Door:
    """A server, as whoever asks it."""

    session: aiohttp.ClientSession
    base: str
    server_name: str
    headers: Callable[[], list[tuple[str, str]]]

    async def get(
        self, path: str, accept: str = "application/json", mark: str = "", seconds: float = ANSWER_SECONDS
    ) -> tuple[int, bytes, str, str]:
        """Status, content, content type and ETag. `mark` is the ETag of what is known. Raises BadAnswer."""
        headers = CIMultiDict([*self.headers(), ("Accept", accept)])
        if mark:
            headers["If-None-Match"] = mark
        try:
            asked = self.session.get(
                URL(self.base + path, encoded=True),
                headers=headers,
                server_hostname=self.server_name,
                timeout=aiohttp.ClientTimeout(total=seconds),
            )
            async with asked as answer:
                found = await answer.read()
                return answer.status, found, answer.content_type, answer.headers.get("ETag", "")
        except (aiohttp.ClientError, OSError) as error:
            raise BadAnswer(f'Get "{self.base}{path}": {error or type(error).__name__}') from None


async def read_group(door: Door, group: str, version: str) -> RemoteGroup:
    """The resources of a group version: by aggregated discovery, or else by the older document. Raises BadAnswer.

    The older document is asked for in any case: that it comes is what makes an APIService available.
    """
    path = f"/apis/{group}/{version}"
    where = f"failing or missing response from {door.base}{path}"
    try:
        status, content, _, _ = await door.get(path)
        if not 200 <= status < 300:
            raise BadAnswer(f"bad status from {door.base}{path}: {status}")
        resources = orjson.loads(content).get("resources") or []
    except (BadAnswer, orjson.JSONDecodeError, AttributeError) as error:
        raise BadAnswer(f"{where}: {error}") from None
    return RemoteGroup(group, version, resources, aggregated=await _aggregated(door, group, version))


async def _aggregated(door: Door, group: str, version: str) -> list[Any] | None:
    try:
        accept = ",".join([*_AGGREGATED, "application/json"])
        status, content, _, _ = await door.get("/apis", accept)
        document = orjson.loads(content) if status == 200 else {}
    except (BadAnswer, orjson.JSONDecodeError):
        return None
    if not isinstance(document, dict) or document.get("kind") != "APIGroupDiscoveryList":
        return None
    for item in document.get("items") or ():
        for one in item.get("versions") or () if (item.get("metadata") or {}).get("name") == group else ():
            if one.get("version") == version:
                return one.get("resources") or []
    return None


async def read_schemas(door: Door, group: str, version: str, before: ForeignSchemas | None) -> ForeignSchemas:
    """The OpenAPI documents; what has not changed is not read again, what is not served is left out."""
    found = before or ForeignSchemas(group, version)
    return await _read_v3(door, await _read_v2(door, found))


async def _read_v2(door: Door, found: ForeignSchemas) -> ForeignSchemas:
    try:
        status, content, _, mark = await door.get("/openapi/v2", mark=found.v2_mark, seconds=_SCHEMA_SECONDS)
        if status == 304:
            return found
        document = orjson.loads(content) if status == 200 else None
    except (BadAnswer, orjson.JSONDecodeError) as error:
        log.debug("no OpenAPI v2 of %s: %s", found.name, error)
        return found
    if not isinstance(document, dict):
        return replace(found, v2=None, v2_mark="")
    v2 = openapi_merging.filtered(document, f"/{found.name}")
    return replace(found, v2=v2, v2_mark=mark or hashlib.sha256(content).hexdigest().upper())


async def _read_v3(door: Door, found: ForeignSchemas) -> ForeignSchemas:
    try:
        status, content, _, _ = await door.get("/openapi/v3")
        paths = orjson.loads(content).get("paths") or {} if status == 200 else {}
        place = (paths.get(found.name) or {}).get("serverRelativeURL")
        if not place:
            return replace(found, v3=b"", v3_mark="")
        mark = place.partition("hash=")[2] or hashlib.sha256(place.encode()).hexdigest().upper()
        if mark == found.v3_mark:
            return found
        status, content, _, _ = await door.get(place, seconds=_SCHEMA_SECONDS)
        if status != 200:
            return found
        orjson.loads(content)
    except (BadAnswer, orjson.JSONDecodeError, AttributeError) as error:
        log.debug("no OpenAPI v3 of %s: %s", found.name, error)
        return found
    return replace(found, v3=content, v3_mark=mark)
