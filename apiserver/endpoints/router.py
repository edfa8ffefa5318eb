"""One dispatcher for everything below `/api` and `/apis`: the catalog finds the row, the verb finds the module."""

from __future__ import annotations

from apiserver.endpoints import connect, create, delete, get, list, patch, update, watch
from apiserver.endpoints.negotiation import as_json
from apiserver.endpoints.server import Endpoints, Handle, Receive, Scope, Send
from apiserver.registry.resource import Resource
from apiserver.request import CONTEXT, RequestContext
from kubarium.apimachinery import errors
from kubarium.component_base.serving import App

VERBS: dict[str, Handle] = {
    "get": get.handle,
    "list": list.handle,
    "watch": watch.handle,
    "create": create.handle,
    "update": update.handle,
    "patch": patch.handle,
    "delete": delete.handle,
    "deletecollection": delete.handle_collection,
}


class Router:
    """Raw ASGI, because this is the way of every request: FastAPI's own routing costs five times as much.

    What is no resource, or not ours, goes on to the shell (health, discovery, OpenAPI) or to an aggregated server.
    """

    def __init__(self, endpoints: Endpoints, shell: App, elsewhere: App | None = None) -> None:
        self._endpoints = endpoints
        self._shell = shell
        self._elsewhere = elsewhere  # resources that the catalog does not have

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext | None = scope.get(CONTEXT)
        if context is None or not context.info.is_resource:
            await self._shell(_in_json(context, scope), receive, send)
            return
        info = context.info
        row = self._endpoints.catalog.find(info.group, info.version, info.resource)
        if row is None:
            if self._endpoints.catalog.serves(info.group, info.version):
                raise errors.NotFound.page()
            if self._elsewhere is not None:
                await self._elsewhere(scope, receive, send)
                return
            raise errors.NoSuchPath
        if row.deprecation:
            context.warn(row.deprecation)
            context.deprecated = True
        handle = self._find(row, context)
        if handle is not connect.handle:
            if scope["method"] == "HEAD":
                raise errors.MethodNotAllowed()
            scope = _in_json(context, scope)
        await handle(self._endpoints, row, context, scope, receive, send)

    def _find(self, row: Resource, context: RequestContext) -> Handle:
        """The module for the verb. Raises NotFound or MethodNotAllowed."""
        info = context.info
        if info.gap:
            _check_gap(row, context)
        elif bool(info.namespace) != row.namespaced and not _is_its_own_namespace(row, context):
            _check_span(row, context)
        if info.subresource:
            subresource = row.subresources.get(info.subresource)
            if subresource is None:
                raise _no_subresource(row, info.name)
            if info.parts and info.subresource != "proxy":
                raise errors.NotFound.page()
            if subresource.connects:
                return connect.handle
            if info.verb not in subresource.verbs:
                raise _not_supported(row, info.verb)
        elif info.verb not in row.verbs or (
            (info.verb in _NAMED) != bool(info.name) and info.verb not in _MANY
        ):
            raise errors.MethodNotAllowed()
        return VERBS[info.verb]


def _no_subresource(row: Resource, name: str) -> errors.NotFound:
    """Of custom resources upstream says that the object is not there."""
    return errors.NotFound.page() if row.custom is None else errors.NotFound.of(row.group, row.plural, name)


def _not_supported(row: Resource, verb: str) -> errors.MethodNotAllowed:
    if row.custom is None:
        return errors.MethodNotAllowed()
    text = f'{verb} is not supported on resources of kind "{row.plural}.{row.group}"'
    return errors.MethodNotAllowed(text, {"group": row.group, "kind": row.plural})


def _in_json(context: RequestContext | None, scope: Scope) -> Scope:
    """What we answer ourselves is JSON first, whatever the client accepts."""
    if context is None or not context.only_protobuf:
        return scope
    context.translated = True
    return as_json(scope)


_MANY = frozenset({"list", "watch", "deletecollection"})  # may name one object by their field selector
_NAMED = frozenset({"get", "update", "patch", "delete"})


def _check_gap(row: Resource, context: RequestContext) -> None:
    """Without a namespace there are lists and watches; without a name there is nothing."""
    info = context.info
    if info.subresource and not info.name:
        raise errors.BadRequest("name must be provided")
    if not row.namespaced:
        raise errors.NotFound.page()
    if info.verb not in ("list", "watch", "create"):
        raise errors.BadRequest("Namespace parameter required.")


def _check_span(row: Resource, context: RequestContext) -> None:
    """Only lists and watches may look into all namespaces; nothing cluster-wide is inside one."""
    info = context.info
    if not row.namespaced:
        raise errors.NotFound.page()
    if info.verb not in ("list", "watch"):
        raise errors.NotFound.page() if info.name else errors.MethodNotAllowed()


def _is_its_own_namespace(row: Resource, context: RequestContext) -> bool:
    return row.plural == "namespaces" and not row.group and context.info.namespace == context.info.name
