"""An issuer of tokens on the network: where its keys are, and what they are now.

Source: https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import jwt
import orjson

from kubarium.apimachinery import errors
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client

T = TypeVar("T")

WELL_KNOWN = "/.well-known/openid-configuration"
_SECONDS = 30.0


class ProviderError(Exception):
    """The issuer cannot be reached, or says something else than it should."""


class Provider:
    """The keys of one issuer. They are read when they are first needed, and again when a token names an unknown one."""

    def __init__(self, issuer: str, discovery_url: str = "", authority: str = "") -> None:
        self._issuer = issuer
        self._discovery_url = discovery_url or issuer.rstrip("/") + WELL_KNOWN
        self._authority = authority.encode()
        self._keys_url = ""
        self._keys: list[jwt.PyJWK] = []
        self._clients: dict[str, Client] = {}
        self._generation = 0
        self._asking = asyncio.Lock()

    @property
    def discovered(self) -> bool:
        """Is it known where the keys are?"""
        return bool(self._keys_url)

    async def discover(self) -> None:
        """Ask the issuer where its keys are. Raises ProviderError."""
        document = await self.fetch(self._discovery_url)
        named = document.get("issuer")
        if named != self._issuer:
            text = f'expected "{self._issuer}" got "{named}"'
            raise ProviderError(f"oidc: issuer did not match the issuer returned by provider, {text}")
        if not document.get("jwks_uri"):
            raise ProviderError("oidc: the provider names no keys")
        self._keys_url = document["jwks_uri"]

    async def first(self, key_id: str, attempt: Callable[[jwt.PyJWK], T | None]) -> T | None:
        """What the first key gives that may have signed a token. Raises ProviderError.

        Where none of the known keys fits, the issuer is asked for its keys of today; once for all who wait.
        """
        seen = self._generation
        if (found := self._try(key_id, attempt)) is not None:
            return found
        async with self._asking:
            if self._generation == seen:
                self._keys = list(_parsed(await self.fetch(self._keys_url)))
                self._generation += 1
        return self._try(key_id, attempt)

    def _try(self, key_id: str, attempt: Callable[[jwt.PyJWK], T | None]) -> T | None:
        for key in self._keys:
            if not key_id or key.key_id == key_id:
                found = attempt(key)
                if found is not None:
                    return found
        return None

    async def fetch(self, url: str) -> Any:
        """A JSON document. Raises ProviderError."""
        try:
            return orjson.loads(await self.fetch_text(url))
        except orjson.JSONDecodeError as error:
            raise ProviderError(f'Get "{url}": {error}') from None

    async def fetch_text(self, url: str, headers: Mapping[str, str] | None = None) -> str:
        """Any document as text. Raises ProviderError."""
        client, path = self._door(url)
        try:
            answer = await client.fetch("GET", path, headers=headers, timeout=_SECONDS)
            return answer.content.decode()
        except (errors.StatusError, ConnectionError, TimeoutError, ValueError) as error:
            raise ProviderError(f'Get "{url}": {error}') from None

    async def close(self) -> None:
        """Let the connections go."""
        for client in self._clients.values():
            await client.close()

    def _door(self, url: str) -> tuple[Client, str]:
        parts = urlsplit(url)
        server = f"{parts.scheme}://{parts.netloc}"
        client = self._clients.get(server)
        if client is None:
            config = ClientConfig(server, ca_data=self._authority)
            client = self._clients[server] = Client(config, user_agent="kube-apiserver")
        return client, parts.path + (f"?{parts.query}" if parts.query else "")


def _parsed(document: Any) -> Iterator[jwt.PyJWK]:
    for key in (document.get("keys") or ()) if isinstance(document, dict) else ():
        try:
            yield jwt.PyJWK(key)
        except jwt.PyJWTError:
            continue  # a key of a sort that nobody here understands
