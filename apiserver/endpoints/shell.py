"""The FastAPI application around the dispatcher: health, version, metrics, discovery, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

import orjson
from fastapi import FastAPI, Request, Response

from apiserver.authentication.service_account_tokens import IssuerDocument
from apiserver.endpoints.discovery import Discovery
from apiserver.endpoints.negotiation import accepts_gzip
from apiserver.endpoints.openapi import OpenAPI
from kubarium.apimachinery import errors
from kubarium.component_base.serving import Page
from kubarium.component_base.version import version_document

JSON = "application/json"
EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""What upstream serves as a plain handler asks for no method; the documents of its web services are only for GET."""
NOSNIFF = {"X-Content-Type-Options": "nosniff"}  # with every error in plain text, as Go writes them
_HEALTH = ("/healthz", "/livez", "/readyz")


def build_shell(
    discovery: Discovery,
    openapi: OpenAPI,
    pages: Mapping[str, Page],
    documents: Mapping[str, IssuerDocument],
    dumps: Mapping[str, Callable[[Mapping[str, str]], str]] | None = None,
) -> FastAPI:
    """Everything that is no resource.

    `pages` answer by themselves, those that end in `/` for all that is below them. `documents` are
    the token issuer's. `dumps` are texts that are made anew each time, and that no index lists.
    """
    shell = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    shell.add_exception_handler(errors.StatusError, _status)
    paths: list[str] = []

    def add(path: str, page: Page) -> None:
        async def answer(request: Request) -> Response:
            status, media_type, content = await page(request.scope)
            plain = status >= 400 or path in _HEALTH
            return Response(content, status, headers=NOSNIFF if plain else None, media_type=media_type)

        paths.append(path)
        shell.add_api_route(path, answer, methods=EVERY)

    for path, page in pages.items():
        add(path if not path.endswith("/") else path + "{rest:path}", page)

    @shell.api_route("/version", methods=EVERY)
    @shell.api_route("/version/", methods=EVERY)
    async def version(request: Request) -> Response:
        _check_is_get(request)
        return Response(orjson.dumps(version_document(), option=orjson.OPT_INDENT_2), media_type=JSON)

    @shell.api_route("/api{rest:path}", methods=EVERY)
    async def discover(request: Request, rest: str) -> Response:
        path = request.url.path
        if rest and not rest.startswith(("/", "s/")) and rest != "s":
            raise errors.NoSuchPath
        document = discovery.answer(path, request.headers.get("accept", ""))
        if not path.startswith("/apis") or path.rstrip("/").count("/") > 2:
            _check_is_get(request)
        if document.etag and request.headers.get("if-none-match") == document.etag:
            return Response(status_code=304, headers={"ETag": document.etag})
        headers = {"Vary": "Accept"} | ({"ETag": document.etag} if document.etag else {})
        return Response(document.body, headers=headers | {"Content-Type": document.media_type})

    @shell.api_route("/openapi/{rest:path}", methods=EVERY)
    async def describe(request: Request, rest: str) -> Response:
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

    for path, document in documents.items():
        _add_document(shell, path, document)
        paths.append(path)

    for path, dump in (dumps or {}).items():
        _add_dump(shell, path, dump)

    @shell.api_route("/", methods=EVERY)
    async def index() -> Response:
        found = sorted({*paths, *discovery.paths(), *openapi.paths(), "/version", "/api", "/apis"})
        return Response(orjson.dumps({"paths": found}, option=orjson.OPT_INDENT_2), media_type=JSON)

    @shell.api_route("/{rest:path}", methods=EVERY)
    async def nothing(rest: str) -> Response:
        raise errors.NoSuchPath

    return shell


def _check_is_get(request: Request) -> None:
    """Raises MethodNotAllowed."""
    if request.method != "GET":
        raise errors.MethodNotAllowed()


async def _status(request: Request, error: Exception) -> Response:
    """A failure as its Status; the filters cannot do it, because FastAPI answers exceptions itself."""
    assert isinstance(error, errors.StatusError)
    if error.plain_text:
        return Response(error.plain_text, error.code, headers=NOSNIFF, media_type="text/plain")
    return Response(orjson.dumps(error.status()) + b"\n", error.code, media_type=JSON)


def _add_document(shell: FastAPI, path: str, document: IssuerDocument) -> None:
    @shell.api_route(path, methods=EVERY)
    async def answer(request: Request) -> Response:
        _check_is_get(request)
        media_type, seconds, content = document.answer()
        headers = {"Content-Type": media_type, "Cache-Control": f"public, max-age={seconds}"}
        return Response(orjson.dumps(content), headers=headers)


def _add_dump(shell: FastAPI, path: str, dump: Callable[[Mapping[str, str]], str]) -> None:
    @shell.api_route(path, methods=EVERY)
    async def answer(request: Request) -> Response:
        return Response(dump(request.query_params), media_type="text/plain; charset=utf-8")
