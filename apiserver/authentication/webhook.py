"""Ask a remote TokenReview: `--authentication-token-webhook-config-file`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Credentials
from apiserver.request import User
from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from kubarium.component_base import logging

log = logging.get(__name__)


class TokenWebhook:
    """Sends unknown tokens to somebody who may know them."""

    def __init__(self, client: Client, path: str, version: str = "v1", audiences: Sequence[str] = ()) -> None:
        self._client = client
        self._path = path or "/"
        self._version = f"authentication.k8s.io/{version}"
        self._audiences = list(audiences)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user that the webhook reports."""
        if not credentials.bearer_token:
            return None
        review = {
            "kind": "TokenReview",
            "apiVersion": self._version,
            "spec": {"token": credentials.bearer_token, "audiences": self._audiences},
        }
        try:
            answer = await self._client.request("POST", self._path, body=review)
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.warning("the token webhook does not answer: %s", error)
            return None
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        user = status.get("user") or {}
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return User(user.get("username") or "", user.get("uid") or "", tuple(user.get("groups") or ()), extra)
