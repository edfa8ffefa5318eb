"""Ask a remote TokenReview: `--authentication-token-webhook-config-file`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Credentials
from apiserver.request import User
from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

_MAX_TOKENS = 10_000


class TokenWebhook:
    """Sends unknown tokens to somebody who may know them, and remembers the answers for a while."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        path: str,
        version: str = "v1",
        audiences: Sequence[str] = (),
        seconds: float = 120.0,
    ) -> None:
        self._client = client
        self._clock = clock
        self._seconds = seconds
        self._known: dict[str, tuple[User | None, float]] = {}
        self._path = path or "/"
        self._version = f"authentication.k8s.io/{version}"
        self._audiences = list(audiences)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user that the webhook reports."""
        token, now = credentials.bearer_token, self._clock.monotonic()
        if not token:
            return None
        known = self._known.get(token)
        if known is not None and known[1] > now:
            return known[0]
        try:
            user = await self._ask(token)
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.warning("the token webhook does not answer: %s", error)
            return None
        if len(self._known) >= _MAX_TOKENS:
            self._known.clear()
        self._known[token] = (user, now + self._seconds)
        return user

    async def _ask(self, token: str) -> User | None:
        review = {
            "kind": "TokenReview",
            "apiVersion": self._version,
            "spec": {"token": token, "audiences": self._audiences},
        }
        answer = await self._client.request("POST", self._path, body=review)
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        user = status.get("user") or {}
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return User(user.get("username") or "", user.get("uid") or "", tuple(user.get("groups") or ()), extra)
