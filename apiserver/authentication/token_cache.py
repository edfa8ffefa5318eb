"""Remembers for a few seconds whose token it was, so that signatures are not checked with every request."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Authenticator, Credentials, as_authenticated
from apiserver.request import User
from kubarium.apimachinery import errors
from kubarium.component_base.clock import Clock

TTL = 10.0  # seconds; as long may a token outlive the pod it is bound to
_MAX_TOKENS = 10_000


class TokenCache:
    """Asks authenticators of bearer tokens, and keeps what they answer."""

    def __init__(self, authenticators: Sequence[Authenticator], clock: Clock) -> None:
        self._all = tuple(authenticators)
        self._clock = clock
        self._known: dict[str, tuple[User, float]] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user of a bearer token; None if there is none. Raises Unauthorized if nobody knows the token."""
        token = credentials.bearer_token
        if not token:
            return None
        known = self._known.get(token)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        user = await self._ask(credentials)
        if len(self._known) >= _MAX_TOKENS:
            self._known.clear()
        self._known[token] = (user, self._clock.monotonic() + TTL)
        return user

    async def _ask(self, credentials: Credentials) -> User:
        self._known.pop(credentials.bearer_token, None)
        for authenticator in self._all:
            try:
                user = await authenticator.authenticate(credentials)
            except errors.Unauthorized:
                continue  # wrong for this one; another may know it
            if user is not None:
                return as_authenticated(user)
        raise errors.Unauthorized()
