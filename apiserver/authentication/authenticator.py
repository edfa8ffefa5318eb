"""The protocol of authenticators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from apiserver.request import User


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection and its headers offer as proof."""

    headers: Mapping[str, str]  # names in lower case
    client_certificate: Mapping[str, Any] | None = None  # as `ssl.SSLSocket.getpeercert()`; verified
    client_certificate_der: bytes | None = None
    source_ip: str = ""

    @property
    def bearer_token(self) -> str:
        """The token of the `Authorization` header, or of a WebSocket subprotocol."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Authenticator(Protocol):
    """Recognises one kind of proof."""

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user; None if this proof is not mine. Raises `errors.Unauthorized` if it is mine and wrong."""
        ...
