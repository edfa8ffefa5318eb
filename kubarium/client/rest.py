"""One HTTP request in, one object or `StatusError` out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from kubarium.apimachinery import errors
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.resource import ResourceClient
from kubarium.client.transport import Answer, NetworkTransport, Query, Transport
from kubarium.component_base.metrics import Counts, Timings

MAX_RETRIES = 10  # of answers that ask for patience (429, 503 with Retry-After)
_REQUESTS = Counts(
    "rest_client_requests_total",
    "Number of HTTP requests, partitioned by status code, method, and host.",
    ("code", "method", "host"),
)
_DURATIONS = Timings(
    "rest_client_request_duration_seconds",
    "Request latency in seconds. Broken down by verb, and host.",
    ("verb", "host"),
    (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0),
)
DEFAULT_TIMEOUT = 60.0  # seconds; watches and streams have none


@dataclass(frozen=True, slots=True)
class Received:
    """An answer that has come whole; nothing of it is left on the connection."""

    status: int
    headers: Mapping[str, str]  # case-insensitive, or names in lower case
    content: bytes


class Client:
    """A connection pool to one API server with one identity."""

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        user_agent: str = "kubarium",
        transport: Transport | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.config = config or ClientConfig(server="https://loopback")
        self.transport = transport or NetworkTransport(
            self.config.server, self.config.ssl_context(), server_name=self.config.tls_server_name
        )
        self._host = urlsplit(self.config.server).netloc
        self._headers = {"Accept": "application/json", "User-Agent": user_agent, **(headers or {})}
        if self.config.impersonate:
            self._headers["Impersonate-User"] = self.config.impersonate
        if self.config.impersonate_group:
            self._headers["Impersonate-Group"] = self.config.impersonate_group

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()

    def resource(self, api_version: str, plural: str) -> ResourceClient:
        """A handle for one kind: `client.resource("apps/v1", "deployments")`."""
        return ResourceClient(self, api_version, plural)

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The headers of every request: identity, agent, what is accepted."""
        found = {**self._headers, **(more or {})}
        if token := self.config.bearer_token():
            found["Authorization"] = f"Bearer {token}"
        return found

    async def identify(self) -> None:
        """Have what `headers` needs to say who we are; asked for before each request."""

    def forget_identity(self) -> bool:
        """The server does not know us (any more): is there another identity to be had?"""
        return False

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Answer:
        """An answer that is a success. It holds a connection until it is read or closed, hence is nobody else's."""
        target = path + _query_text(query)
        await self.identify()
        given = self.headers(headers)
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        if data is not None:
            given.setdefault("Content-Type", "application/json")
        for attempt in range(MAX_RETRIES + 1):
            began = time.perf_counter()
            code = "<error>"
            try:
                answer = await self.transport.send(method, target, given, data, timeout)
                code = str(answer.status)
            finally:
                _REQUESTS.add((code, method, self._host))
                _DURATIONS.observe((method, self._host), time.perf_counter() - began)
            if answer.status < 400:
                return answer
            error = error_of(answer.status, await answer.read())
            if error.code == 401 and attempt == 0 and self.forget_identity():
                await self.identify()
                given |= self.headers(headers)
                continue
            patience = _patience(answer, error)
            if patience is None or attempt == MAX_RETRIES:
                raise error
            await asyncio.sleep(patience)
        raise AssertionError("unreachable")

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Received:
        """Send a request; its answer as it came. Raises StatusError, ConnectionError, TimeoutError."""
        answer = await self._send(method, path, query=query, body=body, headers=headers, timeout=timeout)
        return Received(answer.status, answer.headers, await answer.read())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Any:
        """Send a request; the decoded JSON answer, or its text when it is something else."""
        found = await self.fetch(method, path, query=query, body=body, headers=headers, timeout=timeout)
        if "json" in found.headers.get("content-type", ""):
            return orjson.loads(found.content)
        return found.content.decode(errors="replace")

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """An answer whose body goes on and on: watches, followed logs."""
        answer = await self._send(method, path, query=query, headers=headers, timeout=None)
        try:
            yield answer
        finally:
            answer.close()


def error_of(status: int, content: bytes) -> errors.StatusError:
    """The error in a failed answer, whether or not the server wrote a `Status`."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return errors.from_status(body)
    if status == 404:
        return errors.NoSuchPath()
    text = content.decode(errors="replace").strip()
    return errors.from_status(
        {"code": status, "message": text or f"the server answered {status}", "reason": ""}
    )


def _patience(answer: Answer, error: errors.StatusError) -> float | None:
    after = answer.headers.get("retry-after")
    if after is None and error.code != 429:
        return None
    if error.code not in (429, 503) and not error.retry_after:
        return None
    if error.causes():  # an eviction refused by a disruption budget is for the caller to decide
        return None
    return float(after or error.retry_after or 1)


def _query_text(query: Query | None) -> str:
    if not query:
        return ""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None or value == "":
            continue
        items = value if isinstance(value, list) else [value]
        pairs += [(name, str(item).lower() if isinstance(item, bool) else str(item)) for item in items]
    return "?" + urlencode(pairs) if pairs else ""
