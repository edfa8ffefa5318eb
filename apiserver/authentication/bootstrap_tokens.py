"""Short tokens for nodes that join: `abcdef.0123456789abcdef`, kept as Secrets in kube-system.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import hmac
import re

from apiserver.authentication.authenticator import Credentials
from apiserver.request import User
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, is_deleting
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_TYPE = "bootstrap.kubernetes.io/token"
_USER_PREFIX, _GROUP = "system:bootstrap:", "system:bootstrappers"


class BootstrapTokens:
    """Knows the tokens that are kept as Secrets of type `bootstrap.kubernetes.io/token`."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._secrets = client.resource("v1", "secrets")
        self._clock = clock

    async def authenticate(self, credentials: Credentials) -> User | None:
        """`system:bootstrap:<id>`, if the Secret says that the token may authenticate."""
        found = _TOKEN.fullmatch(credentials.bearer_token)
        if found is None:
            return None
        identity, secret_part = found.groups()
        try:
            secret = await self._secrets.get(f"bootstrap-token-{identity}", "kube-system")
        except errors.NotFound:
            return None
        data = _decoded(secret)
        if secret.get("type") != _TYPE or is_deleting(secret) or data.get("token-id") != identity:
            return None
        if not hmac.compare_digest(data.get("token-secret", ""), secret_part):
            log.info("bootstrap token %s has another secret", identity)
            return None
        if data.get("usage-bootstrap-authentication") != "true" or self._expired(data):
            return None
        return User(_USER_PREFIX + identity, groups=(_GROUP, *_extra_groups(data)))

    def _expired(self, data: dict[str, str]) -> bool:
        text = data.get("expiration")
        if not text:
            return False
        try:
            return time.parse_time(text) <= self._clock.now()
        except ValueError:
            return True


def _decoded(secret: Object) -> dict[str, str]:
    data: dict[str, str] = secret.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}


def _extra_groups(data: dict[str, str]) -> list[str]:
    groups = [group.strip() for group in data.get("auth-extra-groups", "").split(",") if group.strip()]
    return [group for group in groups if _EXTRA_GROUP.fullmatch(group)]
