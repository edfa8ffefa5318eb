"""log, exec, attach, port-forward, proxy: streams handed to a kubelet or a pod.

Whatever asks for an upgrade (SPDY, WebSocket) becomes a tunnel: the server authorises, passes the head of the
request on, and then only carries bytes; the newer protocols over WebSockets are translated
(`translation.py`). Everything else is an HTTP request made again, answer and all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from yarl import URL

from apiserver.admission.plugin import CONNECT
from apiserver.endpoints import translation, websocket
from apiserver.endpoints.backends import Backends, Place
from apiserver.endpoints.body import read
from apiserver.endpoints.proxying import pour, repeat, upgrade_of, why_not_reached
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.writing import attributes_of
from apiserver.registry.resource import Resource
from apiserver.request import RequestContext, first, is_true
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, invalid
from kubarium.apimachinery.object import Object, annotations_of, name_of, spec_of
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.component_base import logging
from kubarium.component_base.tunnel import open_tunnel

log = logging.get(__name__)

REFUSAL_LIMIT = 50_000  # bytes of a kubelet's explanation that are passed on
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_PLAIN = (b"content-type", b"text/plain")
_KINDS_OF_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_LOG_OPTIONS = (
    "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds", "sinceTime", "stream",
    "tailLines", "timestamps",
)  # fmt: skip


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a request to a subresource that connects."""
    info = context.info
    if info.subresource in ("exec", "attach", "portforward") and scope["method"] not in ("GET", "POST"):
        raise errors.MethodNotAllowed()
    if info.subresource == "log":
        if scope["method"] != "GET":
            raise errors.MethodNotAllowed()
    else:
        kind = row.subresources[info.subresource].kind
        options = {"kind": kind.kind, "apiVersion": kind.version, **_options(row, context, scope)}
        attributes = attributes_of(row, context, CONNECT, options, None, kind=kind)
        await endpoints.admission.admit(attributes)
        await endpoints.admission.validate(attributes)
    try:
        await _ACTIONS[info.subresource](endpoints.backends, row, context, scope, receive, send)
    except (OSError, aiohttp.ClientError) as error:
        log.info("cannot reach what is behind %s: %s", info.path, error)
        if info.subresource == "proxy":
            raise errors.ServiceUnavailable(
                f"error trying to reach service: {why_not_reached(error)}"
            ) from None
        raise errors.InternalError.because(f"error dialing backend: {why_not_reached(error)}") from None


def _options(row: Resource, context: RequestContext, scope: Scope) -> Object:
    """What the query asks for, as admission sees it: the fields of `PodExecOptions` and its relatives."""
    query, subresource = context.query, context.info.subresource
    if subresource == "proxy":
        path = split_at_proxy(scope["path"], _parts_until_proxy(row))[1]
        return {"path": path} if path else {}
    if subresource == "portforward":
        ports = [int(port) for text in query.get("ports", ()) for port in text.split(",") if port.isdigit()]
        return {"ports": ports} if ports else {}
    found: Object = {name: True for name in ("stdin", "stdout", "stderr", "tty") if is_true(query, name)}
    if container := first(query, "container"):
        found["container"] = container
    if subresource == "exec" and query.get("command"):
        found["command"] = list(query["command"])
    return found


def container_of(pod: Object, name: str) -> str:
    """The container that is meant: the named one, the default one, or the only one."""
    spec = spec_of(pod)
    known = {entry["name"] for kind in _KINDS_OF_CONTAINERS for entry in spec.get(kind) or ()}
    if name:
        if name not in known:
            raise errors.BadRequest(f"container {name} is not valid for pod {name_of(pod)}")
        return name
    containers = [entry["name"] for entry in spec.get("containers") or ()]
    if len(containers) == 1:
        return str(containers[0])
    default = annotations_of(pod).get(DEFAULT_CONTAINER)
    if default in known:
        return str(default)
    text = (
        f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(containers)}]"
    )
    if inits := [entry["name"] for entry in spec.get("initContainers") or ()]:
        text += f" or one of the init containers: [{' '.join(inits)}]"
    raise errors.BadRequest(text)


def _node_of(pod: Object) -> str:
    node = spec_of(pod).get("nodeName")
    if not node:
        raise errors.BadRequest(f"pod {name_of(pod)} does not have a host assigned")
    return str(node)


async def _log(
    backends: Backends, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    _check_log_options(context)
    pod = await backends.pod(context.info.namespace, context.info.name)
    container = container_of(pod, first(context.query, "container"))
    if not spec_of(pod).get("nodeName"):
        await send({"type": "http.response.start", "status": 200, "headers": [_PLAIN]})
        await send({"type": "http.response.body", "body": b""})
        return
    place = await backends.kubelet(_node_of(pod))
    query = [(name, value) for name in _LOG_OPTIONS for value in context.query.get(name, ())]
    path = _path("containerLogs", context.info.namespace, context.info.name, container)
    url = URL(place.url + path + _question(query), encoded=True)
    async with backends.client(place).get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise _refusal(answer.status, (await answer.content.read(REFUSAL_LIMIT)).decode(errors="replace"))
        if upgrade_of(scope) == b"websocket":
            await websocket.send_stream(scope, answer.content.iter_any())
            return
        await send({"type": "http.response.start", "status": 200, "headers": [_PLAIN]})
        await pour(answer.content.iter_any(), receive, send)


def _refusal(status: int, text: str) -> errors.StatusError:
    """What a kubelet says in plain text, as the error that clients understand."""
    if status == 500:
        return errors.InternalError.because(text)
    if status == 400:
        return errors.BadRequest(text)
    return errors.from_status({"code": status, "message": text})


def _check_log_options(context: RequestContext) -> None:
    query = context.query
    found: list[FieldError] = []
    for name in ("tailLines", "limitBytes", "sinceSeconds"):
        text = first(query, name)
        if text and not text.lstrip("-").isdigit():
            raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if text and int(text) < (0 if name == "tailLines" else 1):
            minimum = (
                "must be greater than or equal to 0" if name == "tailLines" else "must be greater than 0"
            )
            found.append(invalid(FieldPath(name), int(text), minimum))
    if "sinceSeconds" in query and "sinceTime" in query:
        why = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        found.append(forbidden(FieldPath(), why))
    if found:
        raise errors.Invalid.of("", "PodLogOptions", context.info.name, found)


async def _exec(
    backends: Backends, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    query, info = context.query, context.info
    pod = await backends.pod(info.namespace, info.name)
    container = container_of(pod, first(query, "container"))
    streams = [("input", "stdin"), ("output", "stdout"), ("error", "stderr"), ("tty", "tty")]
    asked = [(short, "1") for short, name in streams if is_true(query, name)]
    if not any(short in ("input", "output", "error") for short, _ in asked):
        raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if info.subresource == "exec":
        asked += [("command", word) for word in query.get("command", ())]
        if not query.get("command"):
            raise errors.BadRequest("you must specify at least one command for the container")
    place = await backends.kubelet(_node_of(pod))
    target = _path(info.subresource, info.namespace, info.name, container) + _question(asked)
    if translation.wants(scope, translation.CHANNELS):
        await translation.carry_channels(backends, place, scope, target, _streams(query))
        return
    await _tunnel(backends, place, scope, target)


def _streams(query: Mapping[str, list[str]]) -> list[str]:
    """The streams between the client and the process: a terminal has a size, and no errors of its own."""
    tty = is_true(query, "tty")
    asked = [name for name in ("stdin", "stdout", "stderr") if is_true(query, name)]
    return [*(name for name in asked if name != "stderr"), "resize"] if tty else asked


async def _port_forward(
    backends: Backends, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    info = context.info
    pod = await backends.pod(info.namespace, info.name)
    place = await backends.kubelet(_node_of(pod))
    ports = [("port", port) for text in context.query.get("ports", ()) for port in text.split(",")]
    target = _path("portForward", info.namespace, info.name) + _question(ports)
    if translation.wants(scope, translation.TUNNEL):
        await translation.carry_tunnel(backends, place, scope, target)
        return
    await _tunnel(backends, place, scope, target)


async def _proxy(
    backends: Backends, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    info = context.info
    raw: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    before, rest = split_at_proxy(raw, _parts_until_proxy(row))
    if not rest and scope["method"] in ("GET", "HEAD"):
        query = "?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""
        location = (raw + "/" + query).encode("latin-1")
        await send({"type": "http.response.start", "status": 301, "headers": [(b"location", location)]})
        await send({"type": "http.response.body", "body": b""})
        return
    place = await backends.proxied(row.plural, info.namespace, info.name)
    target = (rest or "/") + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
    if upgrade_of(scope):
        await _tunnel(backends, place, scope, target)
        return
    headers = [*_forwarded(scope, context.source_ip), (b"x-forwarded-uri", raw.encode("latin-1"))]
    prefix = before.encode("latin-1")
    content = await read(receive, limit=math.inf)
    client, method = backends.client(place), scope["method"]
    await repeat(client, place.url, method, target, headers, content, receive, send, prefix)


def _parts_until_proxy(row: Resource) -> int:
    return 8 if row.namespaced else 6  # `/api/v1/namespaces/a/pods/b/proxy`, `/api/v1/nodes/a/proxy`


def split_at_proxy(path: str, length: int) -> tuple[str, str]:
    """`/api/v1/nodes/one/proxy/a/b` is `/api/v1/nodes/one/proxy` of so many parts, and what the server is asked for.

    Counted, because namespaces, pods, services and nodes may be called `proxy-…` themselves.
    """
    parts = path.split("/", length)
    return "/".join(parts[:length]), f"/{parts[length]}" if len(parts) > length else ""


def _forwarded(scope: Scope, source_ip: str) -> list[tuple[bytes, bytes]]:
    """The headers of the request; whoever sent it stands last in the line of those that it comes from."""
    line = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    others = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-for"]
    sources = [*line, *([source_ip.encode()] if source_ip else [])]
    return [*others, (b"x-forwarded-for", b", ".join(sources))] if sources else others


_ACTIONS = {"log": _log, "exec": _exec, "attach": _exec, "portforward": _port_forward, "proxy": _proxy}


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _question(query: list[tuple[str, str]]) -> str:
    return "?" + urlencode(query) if query else ""


async def _tunnel(backends: Backends, place: Place, scope: Scope, target: str) -> None:
    if not upgrade_of(scope):
        raise errors.BadRequest("Upgrade request required")
    protocol = (scope.get("state") or {}).get("protocol")
    if protocol is None:
        raise errors.InternalError.because("this connection cannot be upgraded")
    tls = backends.tls(place) if place.scheme == "https" else None
    await open_tunnel(
        protocol, place.host, place.port, scope["method"], target, scope["headers"], tls, place.host
    )
