"""Get, list, watch, create, update, patch, apply, delete for any kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal
from urllib.parse import quote

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.apimachinery.watch import ERROR, WatchEvent
from kubarium.client.transport import Query, Requester

PatchType = Literal["json", "merge", "strategic", "apply"]

CONTENT_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ResourceClient:
    """One resource in one version; a namespace is named with each call, none for cluster-scoped kinds."""

    def __init__(self, client: Requester, api_version: str, plural: str) -> None:
        self.client = client
        self.api_version = api_version
        self.plural = plural
        self._root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, an object, or a subresource."""
        parts = [self._root]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    async def get(
        self, name: str, namespace: str = "", *, resource_version: str | None = None, subresource: str = ""
    ) -> Object:
        """One object. Raises NotFound."""
        path = self.path(namespace, name, subresource)
        found: Object = await self.client.request("GET", path, query={"resourceVersion": resource_version})
        return found

    async def list(
        self,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str | None = None,
        resource_version_match: str = "",
        headers: dict[str, str] | None = None,
    ) -> Object:
        """The List: `items`, `metadata.resourceVersion`, perhaps `metadata.continue`."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit or None,
            "continue": continue_,
            "resourceVersion": resource_version,
            "resourceVersionMatch": resource_version_match,
        }
        found: Object = await self.client.request("GET", self.path(namespace), query=query, headers=headers)
        fill_item_types(found)
        return found

    async def watch(
        self,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        send_initial_events: bool = False,
        timeout_seconds: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncGenerator[WatchEvent]:
        """Events until the server ends the watch. An ERROR event is raised as its StatusError.

        Who leaves before the end closes it (`contextlib.aclosing`): it holds a connection.
        """
        query: Query = {
            "watch": True,
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "allowWatchBookmarks": True,
            "sendInitialEvents": send_initial_events or None,
            "resourceVersionMatch": "NotOlderThan" if send_initial_events else "",
            "timeoutSeconds": timeout_seconds,
        }
        async with self.client.stream("GET", self.path(namespace), query=query, headers=headers) as answer:
            async for line in _lines(answer.chunks()):
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise ConnectionError(f"a watch broke off within an event: {error}") from error
                if event["type"] == ERROR:
                    raise errors.from_status(event["object"])
                yield WatchEvent(event["type"], event["object"])

    async def create(
        self,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Object:
        """Create; the namespace is the object's own unless given. With a subresource, `name` says of which object."""
        where = namespace_of(obj) if namespace is None else namespace
        owner = (name or name_of(obj)) if subresource else ""
        query = {"dryRun": "All" if dry_run else None, "fieldManager": field_manager}
        path = self.path(where, owner, subresource)
        created: Object = await self.client.request("POST", path, query=query, body=obj)
        return created

    async def update(
        self, obj: Object, *, subresource: str = "", dry_run: bool = False, field_manager: str = ""
    ) -> Object:
        """Replace. Raises Conflict when the object's resourceVersion is not the newest."""
        path = self.path(namespace_of(obj), name_of(obj), subresource)
        query = {"dryRun": "All" if dry_run else None, "fieldManager": field_manager}
        updated: Object = await self.client.request("PUT", path, query=query, body=obj)
        return updated

    async def update_status(self, obj: Object) -> Object:
        """Replace the status."""
        return await self.update(obj, subresource="status")

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Change a part."""
        query = {"fieldManager": field_manager, "force": force or None, "dryRun": "All" if dry_run else None}
        headers = {"Content-Type": CONTENT_TYPES[type]}
        path = self.path(namespace, name, subresource)
        patched: Object = await self.client.request("PATCH", path, query=query, body=patch, headers=headers)
        return patched

    async def apply(
        self,
        obj: Object,
        *,
        field_manager: str,
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply."""
        return await self.patch(
            name_of(obj),
            obj,
            namespace_of(obj),
            type="apply",
            subresource=subresource,
            field_manager=field_manager,
            force=force,
            dry_run=dry_run,
        )

    async def delete(
        self,
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        propagation_policy: str | None = None,
        preconditions: Object | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete; the answer is the object when it stays for a while, else a Status."""
        options = _delete_options(grace_period_seconds, propagation_policy, preconditions, dry_run)
        deleted: Object = await self.client.request("DELETE", self.path(namespace, name), body=options)
        return deleted

    async def delete_collection(
        self,
        namespace: str = "",
        *,
        label_selector: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str | None = None,
    ) -> Object:
        """Delete all that is selected."""
        query = {"labelSelector": label_selector}
        options = _delete_options(grace_period_seconds, propagation_policy, None, False)
        deleted: Object = await self.client.request("DELETE", self.path(namespace), query=query, body=options)
        return deleted


def fill_item_types(found: Object) -> None:
    """Upstream leaves `apiVersion` and `kind` out of the items of typed lists: put them back."""
    kind = str(found.get("kind") or "").removesuffix("List")
    items = found.get("items")
    if items is None:
        found["items"] = []
    for item in items or ():
        if "kind" not in item:
            item["kind"] = kind
            item["apiVersion"] = found["apiVersion"]


def _delete_options(
    grace: int | None, propagation: str | None, preconditions: Object | None, dry_run: bool
) -> Object | None:
    options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if propagation is not None:
        options["propagationPolicy"] = propagation
    if preconditions is not None:
        options["preconditions"] = preconditions
    if dry_run:
        options["dryRun"] = ["All"]
    return options


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
    if rest.strip():
        yield rest
