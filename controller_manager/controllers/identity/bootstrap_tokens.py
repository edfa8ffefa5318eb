"""Bootstrap tokens: sign `cluster-info` with each of them, delete those that have expired.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, ObjectKey, copy, name_of, namespace_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

TYPE = "bootstrap.kubernetes.io/token"
SYSTEM = "kube-system"
INFO = ObjectKey("kube-public", "cluster-info")
SIGNATURE = "jws-kubeconfig-"
ID_LENGTH = 6


def field(secret: Object, name: str) -> str:
    """One entry of a token Secret, decoded."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(name) or "").decode()
    except (ValueError, UnicodeDecodeError):
        return ""


def seconds_left(secret: Object, now: datetime) -> float | None:
    """How long the token is still good; None: for ever."""
    text = field(secret, "expiration")
    if not text:
        return None
    try:
        return (time.parse_time(text) - now).total_seconds()
    except ValueError:
        return 0.0  # an unreadable time counts as long past


def may_sign(secret: Object, now: datetime) -> bool:
    """Is this a whole token, for signing, that has not expired? Its name must say its id."""
    token_id, left = field(secret, "token-id"), seconds_left(secret, now)
    whole = secret.get("type") == TYPE and bool(token_id and field(secret, "token-secret"))
    named = name_of(secret) == f"bootstrap-token-{token_id}" and len(token_id) == ID_LENGTH
    fresh = left is None or left > 0
    return whole and named and fresh and field(secret, "usage-bootstrap-signing") == "true"


def detached_signature(content: str, token_id: str, token_secret: str) -> str:
    """A JSON Web Signature over the content, without the content in it (RFC 7515, appendix F)."""
    header = _encode(f'{{"alg":"HS256","kid":"{token_id}"}}'.encode())
    signed = f"{header}.{_encode(content.encode())}".encode()
    return f"{header}..{_encode(hmac.new(token_secret.encode(), signed, hashlib.sha256).digest())}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class BootstrapSigner(Controller):
    """Lets a new node check, by a token it knows, that it talks to the right cluster."""

    name = "bootstrap-signer-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.maps = informers.informer("v1", "configmaps", namespace=INFO.namespace)
        self.secrets = informers.informer("v1", "secrets", namespace=SYSTEM)
        self.resource = client.resource("v1", "configmaps")
        super().__init__(client, informers, clock)
        for informer in (self.maps, self.secrets):
            informer.follow(self._wake, self._wake)

    def _wake(self, changed: Object) -> None:
        self.queue.add(INFO)

    async def started(self) -> None:
        await self.maps.synced()
        await self.secrets.synced()

    async def reconcile(self, key: ObjectKey) -> None:
        stored = self.maps.lister.get(key)
        if stored is None:
            return
        data = stored.get("data") or {}
        if "kubeconfig" not in data:
            return
        wanted = {name: text for name, text in data.items() if not name.startswith(SIGNATURE)}
        for secret in self.secrets.lister.list(SYSTEM):
            if may_sign(secret, self.clock.now()):
                token_id, token = field(secret, "token-id"), field(secret, "token-secret")
                wanted[SIGNATURE + token_id] = detached_signature(data["kubeconfig"], token_id, token)
        if wanted != data:
            changed = copy(stored)
            changed["data"] = wanted
            await self.resource.update(changed)


class TokenCleaner(Controller):
    """Deletes expired tokens."""

    name = "token-cleaner-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.secrets = informers.informer("v1", "secrets", namespace=SYSTEM)
        self.resource = client.resource("v1", "secrets")
        super().__init__(client, informers, clock)
        self.secrets.follow(self._see)

    def watches(self) -> Sequence[Watch]:
        return ()

    def _see(self, secret: Object) -> None:
        for key in _if_token(secret):
            self.queue.add(key)

    async def started(self) -> None:
        await self.secrets.synced()

    async def reconcile(self, key: ObjectKey) -> float | None:
        secret = self.secrets.lister.get(key)
        if secret is None:
            return None
        left = seconds_left(secret, self.clock.now())
        if left is None or left > 0:
            return left
        log.info("deleting expired bootstrap token %s", key)
        try:
            await self.resource.delete(
                name_of(secret), namespace_of(secret), preconditions={"uid": uid_of(secret)}
            )
        except errors.NotFound:
            return None
        return None


def _if_token(secret: Object) -> Iterable[ObjectKey]:
    if secret.get("type") == TYPE and namespace_of(secret) == SYSTEM:
        yield ObjectKey(SYSTEM, name_of(secret))
