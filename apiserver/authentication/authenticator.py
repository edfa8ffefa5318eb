"""The protocol of authenticators, and several of them one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apiserver.request import ANONYMOUS, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection and its headers offer as proof."""

    headers: Mapping[str, str]  # names in lower case; values of a repeated header joined by NUL
    client_certificate: Mapping[str, Any] | None = None  # as `ssl.SSLSocket.getpeercert()`; verified
    client_certificate_der: bytes | None = None
    source_ip: str = ""
    path: str = ""

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


class Authenticators:
    """One after another; the first that recognises the caller wins.

    A wrong proof does not end the search, another one may be right; but whoever offered one and was recognised
    by nobody is refused, not anonymous. `anonymous_paths` are those on which nobody in particular may ask; None is all.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        *,
        anonymous: bool = True,
        anonymous_paths: frozenset[str] | None = None,
    ) -> None:
        self._all = tuple(authenticators)
        self._anonymous = anonymous
        self._anonymous_paths = anonymous_paths

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The caller, as one more of the authenticated; else nobody in particular; else nobody."""
        wrong: errors.Unauthorized | None = None
        for authenticator in self._all:
            try:
                user = await authenticator.authenticate(credentials)
            except errors.Unauthorized as error:
                wrong = error
                continue
            if user is not None:
                return as_authenticated(user)
        if wrong is not None:
            raise wrong
        if "authorization" in credentials.headers:
            raise errors.Unauthorized()
        if not self._anonymous or (
            self._anonymous_paths is not None and credentials.path not in self._anonymous_paths
        ):
            return None
        return ANONYMOUS


def as_authenticated(user: User) -> User:
    """The same user, in the group of all whom somebody recognised."""
    if users.AUTHENTICATED in user.groups or user.name == users.ANONYMOUS:
        return user
    return User(user.name, user.uid, (*user.groups, users.AUTHENTICATED), user.extra)
