"""Calls admission webhooks: finds the address, speaks TLS, sends the review, reads the answer.

clientConfig.url ───────────────────────────────────────────▶ POST
clientConfig.service ──▶ a ready endpoint of the Service ────▶ POST, with the certificate checked for the Service's name
"""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import orjson
import yarl

from apiserver.admission.webhook_answers import CallFailed, decoded
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionResource
from kubarium.apimachinery.object import Object, spec_of
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.rest import Client

MAX_ANSWER = 8 << 20  # bytes


Versions = Callable[[GroupVersionResource], Sequence[str]]
"""In which versions a resource is served, for webhooks that want to see another one than the request's."""


Convert = Callable[[Object, str], Awaitable[Object]]
"""An object in another apiVersion of its group."""


async def relabelled(obj: Object, api_version: str) -> Object:
    """Conversion where versions differ in nothing but their name."""
    return {**obj, "apiVersion": api_version}


@dataclass(frozen=True, slots=True)
class _Target:
    shown: str  # the URL as errors name it
    url: str
    server_name: str | None
    host: str  # by which credentials are chosen


class WebhookClient:
    """Sends JSON to the places that `clientConfig`s name. Connections are kept; call `close` at the end."""

    def __init__(
        self,
        client: Client,
        versions: Versions = lambda resource: (),
        convert: Convert = relabelled,
        credentials: Mapping[str, ClientConfig] | None = None,
    ) -> None:
        """`credentials` are what to show to whom, by host: `name.namespace.svc`, `*.namespace.svc` ..., `*`."""
        self.versions = versions
        self.convert = convert
        self._services = client.resource("v1", "services")
        self._slices = client.resource("discovery.k8s.io/v1", "endpointslices")
        self._credentials = credentials or {}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    async def call(self, config: Object, body: Object, timeout: float) -> Object:
        """The decoded answer. Raises CallFailed."""
        query = f"?timeout={int(timeout)}s"
        target = await self._target(config, query)
        try:
            context = self._context(config.get("caBundle") or "", target.host)
            async with asyncio.timeout(timeout), self._post(target, body, context) as response:
                content = await response.content.read(MAX_ANSWER)
                status, content_type = response.status, response.headers.get("Content-Type") or ""
        except TimeoutError:
            raise CallFailed(
                f'failed to call webhook: Post "{target.shown}": context deadline exceeded'
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallFailed(f'failed to call webhook: Post "{target.shown}": {_reason(error)}') from error
        return decoded(status, content_type, content)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _post(
        self, target: _Target, body: Object, context: ssl.SSLContext
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        async with self._session.post(
            yarl.URL(target.url, encoded=True),
            data=orjson.dumps(body),
            headers={"Content-Type": "application/json", "Accept": "application/json, */*",
                     "User-Agent": "kube-apiserver-admission", **self._authorization(target.host)},
            ssl=context,
            server_hostname=target.server_name,
            allow_redirects=False,
        ) as response:  # fmt: skip
            yield response

    def _context(self, bundle: str, host: str) -> ssl.SSLContext:
        name = credentials_for(host, self._credentials)
        found = self._contexts.get((bundle, name))
        if found is None:
            pem = base64.b64decode(bundle) if bundle else b""
            config = replace(self._credentials.get(name) or ClientConfig("https://"), ca_data=pem)
            context = config.ssl_context()
            assert context is not None
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            found = self._contexts[(bundle, name)] = context
        return found

    def _authorization(self, host: str) -> dict[str, str]:
        config = self._credentials.get(credentials_for(host, self._credentials))
        token = config.bearer_token() if config is not None else ""
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _target(self, config: Object, query: str) -> _Target:
        if config.get("url"):
            url = str(config["url"])
            joined = url + (query if "?" not in url else "&" + query[1:])
            return _Target(joined, joined, None, urlsplit(url).netloc)
        service = config.get("service") or {}
        namespace, name = service.get("namespace") or "", service.get("name") or ""
        port, path = service.get("port") or 443, "/" + str(service.get("path") or "").lstrip("/")
        host = f"{name}.{namespace}.svc"
        shown = f"https://{host}:{port}{path}{query}"
        address = await self._address(namespace, name, port, shown)
        return _Target(shown, f"https://{address}{path}{query}", host, host)

    async def _address(self, namespace: str, name: str, port: int, shown: str) -> str:
        """Host and port of a ready endpoint; the API server may run where cluster IPs lead nowhere."""
        try:
            found = await self._services.get(name, namespace)
        except errors.NotFound:
            raise CallFailed(f'failed to call webhook: Post "{shown}": service "{name}" not found') from None
        spec = spec_of(found)
        if spec.get("type") == "ExternalName":
            return f"{spec.get('externalName')}:{port}"
        wanted = next((one for one in spec.get("ports") or () if one.get("port") == port), None)
        if wanted is None:
            raise CallFailed(
                f'failed to call webhook: Post "{shown}": no service port {port} found for service "{name}"'
            )
        slices = await self._slices.list(namespace, label_selector=f"kubernetes.io/service-name={name}")
        ready = list(_endpoints(slices["items"], wanted.get("name") or ""))
        if not ready:
            raise CallFailed(
                f'failed to call webhook: Post "{shown}": no endpoints available for service "{name}"'
            )
        address, number = random.choice(ready)
        return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def credentials_for(host: str, known: Mapping[str, ClientConfig]) -> str:
    """The most exact name under which credentials for a host are kept; empty if there are none.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#authenticate-apiservers
    """
    plain = host.removesuffix(":443")
    parts = plain.split(".")
    names = [host, plain, *(".".join(["*", *parts[index:]]) for index in range(1, len(parts))), "*"]
    return next((name for name in names if name in known), "")


def _endpoints(slices: list[Object], port_name: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for piece in slices:
        numbers = [port["port"] for port in piece.get("ports") or ()
                   if (port.get("name") or "") == port_name and port.get("port")]  # fmt: skip
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [(address, number) for address in endpoint["addresses"][:1] for number in numbers]
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {error.host}:{error.port}: connect: {error.strerror or error}"
    return str(error) or type(error).__name__
