"""log, exec, attach, port-forward, proxy: streams handed to a kubelet or a pod."""

from __future__ import annotations

from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.registry.resource import Resource
from apiserver.request import RequestContext
from kubarium.apimachinery import errors


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a request to a subresource that connects."""
    raise errors.ServiceUnavailable("streams are not connected yet")
