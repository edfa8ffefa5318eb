"""The Starlette application around the dispatcher: health, version, metrics, discovery, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apiserver.endpoints.discovery import Discovery
from apiserver.endpoints.negotiation import accepts_gzip
from apiserver.endpoints.openapi import OpenAPI
from kubarium.apimachinery import errors
from kubarium.component_base.serving import Page
from kubarium.component_base.version import version_document

JSON = "application/json"
_REST = "{rest:path}"  # what follows in a path, be it nothing


def build_shell(
    discovery: Discovery,
    openapi: OpenAPI,
    pages: Mapping[str, Page],
    documents: Mapping[str, tuple[str, object]],
    dumps: Mapping[str, Callable[[Mapping[str, str]], str]] | None = None,
) -> Starlette:
    """Everything that is no resource.

    `pages` answer by themselves, those that end in `/` for all that is below them. `documents` are served as they are:
    the token issuer's. `dumps` are texts that are made anew each time, and that no index lists.
    """
    pages = {f"{path}{_REST}" if path.endswith("/") else path: page for path, page in pages.items()}
    listed = [*pages, *documents]

    async def version(request: Request) -> Response:
        return Response(orjson.dumps(version_document(), option=orjson.OPT_INDENT_2), media_type=JSON)

    async def discover(request: Request) -> Response:
        path, rest = request.url.path, request.path_params["rest"]
        if rest and not rest.startswith(("/", "s/")) and rest != "s":
            raise errors.NoSuchPath
        document = discovery.answer(path, request.headers.get("accept", ""))
        if document.etag and request.headers.get("if-none-match") == document.etag:
            return Response(status_code=304, headers={"ETag": document.etag})
        headers = {"Vary": "Accept"} | ({"ETag": document.etag} if document.etag else {})
        return Response(document.body, headers=headers | {"Content-Type": document.media_type})

    async def describe(request: Request) -> Response:
        rest = request.path_params["rest"]
        accept, query = request.headers.get("accept", ""), request.query_params.get("hash", "")
        document = openapi.answer(unquote(rest).rstrip("/"), query, accept)
        if request.headers.get("if-none-match") == document.etag:
            return Response(status_code=304, headers={"ETag": document.etag})
        headers = {
            "ETag": document.etag,
            "Vary": "Accept, Accept-Encoding",
            "Content-Type": document.media_type,
        }
        headers |= document.headers
        if accepts_gzip(request.scope):
            return Response(document.packed, headers=headers | {"Content-Encoding": "gzip"})
        return Response(document.body, headers=headers)

    async def index(request: Request) -> Response:
        found = sorted({*listed, *discovery.paths(), *openapi.paths(), "/version", "/api", "/apis"})
        return Response(orjson.dumps({"paths": found}, option=orjson.OPT_INDENT_2), media_type=JSON)

    async def nothing(request: Request) -> Response:
        raise errors.NoSuchPath

    routes = [
        *(_page(path, page) for path, page in pages.items()),
        Route("/version", version),
        Route("/version/", version),
        Route(f"/api{_REST}", discover),
        Route(f"/openapi/{_REST}", describe),
        *(_document(path, media_type, content) for path, (media_type, content) in documents.items()),
        *(_dump(path, dump) for path, dump in (dumps or {}).items()),
        Route("/", index),
        Route(f"/{_REST}", nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    shell = Starlette(routes=routes, exception_handlers={errors.StatusError: _status})
    shell.router.redirect_slashes = False
    return shell


async def _status(request: Request, error: Exception) -> Response:
    """A failure as its Status; the filters cannot do it, because Starlette answers exceptions itself."""
    assert isinstance(error, errors.StatusError)
    if error.plain_text:
        return Response(error.plain_text, error.code, media_type="text/plain")
    return Response(orjson.dumps(error.status()) + b"\n", error.code, media_type=JSON)


def _page(path: str, page: Page) -> Route:
    async def answer(request: Request) -> Response:
        status, media_type, content = await page(request.scope)
        return Response(content, status, media_type=media_type)

    return Route(path, answer)


def _document(path: str, media_type: str, content: object) -> Route:
    body = orjson.dumps(content)

    async def answer(request: Request) -> Response:
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "public, max-age=3600"})

    return Route(path, answer)


def _dump(path: str, dump: Callable[[Mapping[str, str]], str]) -> Route:
    async def answer(request: Request) -> Response:
        return Response(dump(request.query_params), media_type="text/plain; charset=utf-8")

    return Route(path, answer)
