"""Token Secrets, the older way: a Secret of type `service-account-token` gets a token that does not expire.

And their clean-up: a Secret that was made automatically and has not been used for a year is first marked, then deleted.
Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
ISSUER = "kubernetes/serviceaccount"

LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
DAY = "%Y-%m-%d"
FAILURES = (errors.StatusError, ConnectionError, TimeoutError)


class LegacyIssuer:
    """Signs tokens of the older form."""

    def __init__(self, key_pem: bytes) -> None:
        self._key = serialization.load_pem_private_key(key_pem, password=None)
        self._algorithm = "RS256" if isinstance(self._key, rsa.RSAPrivateKey) else "ES256"
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public)
        self._id = base64.urlsafe_b64encode(digest.finalize()).rstrip(b"=").decode()

    def issue(self, secret: Object, account: Object) -> str:
        """The token that a Secret holds."""
        namespace, name = namespace_of(account), name_of(account)
        claims = {
            "iss": ISSUER,
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": name_of(secret),
            "kubernetes.io/serviceaccount/service-account.name": name,
            "kubernetes.io/serviceaccount/service-account.uid": uid_of(account),
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers={"kid": self._id})  # type: ignore[arg-type]


class ServiceAccountTokenController(Controller):
    """Fills token Secrets, and deletes those whose account is gone."""

    name = "serviceaccount-token-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        *,
        issuer: LegacyIssuer,
        root_ca: str,
        workers: int = 5,
    ) -> None:
        self.workers, self.issuer, self.root_ca = workers, issuer, root_ca
        self.accounts = informers.informer("v1", "serviceaccounts").lister
        self.secrets_informer = informers.informer("v1", "secrets", field_selector=f"type={TYPE}")
        self.secrets = self.secrets_informer.lister
        self.resource = client.resource("v1", "secrets")
        self.account_client = client.resource("v1", "serviceaccounts")
        super().__init__(client, informers, clock)
        self.secrets_informer.follow(self.enqueue)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "serviceaccounts", keys=self._secrets_of, changed=lambda old, new: False)]

    async def started(self) -> None:
        await self.secrets_informer.synced()

    def _secrets_of(self, account: Object) -> Iterable[ObjectKey]:
        found = self.secrets.list(namespace_of(account))
        return [key_of(one) for one in found if annotations_of(one).get(ACCOUNT_NAME) == name_of(account)]

    async def reconcile(self, key: ObjectKey) -> None:
        secret = self.secrets.get(key)
        if secret is None or secret.get("type") != TYPE:
            return
        account = await self._account_of(secret)
        if account is None:
            await self._delete(secret)
            return
        wanted = self._filled(secret, account)
        if wanted != secret:
            await self.resource.update(wanted)

    async def _account_of(self, secret: Object) -> Object | None:
        name, uid = annotations_of(secret).get(ACCOUNT_NAME, ""), annotations_of(secret).get(ACCOUNT_UID)
        account = self.accounts.get(namespace_of(secret), name)
        if account is None:
            try:
                account = await self.account_client.get(name, namespace_of(secret))
            except errors.NotFound:
                return None
        return account if uid in (None, "", uid_of(account)) else None

    def _filled(self, secret: Object, account: Object) -> Object:
        wanted = copy(secret)
        wanted["metadata"]["annotations"] = {**annotations_of(secret), ACCOUNT_UID: uid_of(account)}
        data = wanted.get("data") or {}
        if self.root_ca:
            data["ca.crt"] = base64.b64encode(self.root_ca.encode()).decode()
        data["namespace"] = base64.b64encode(namespace_of(secret).encode()).decode()
        if not data.get("token"):
            data["token"] = base64.b64encode(self.issuer.issue(secret, account).encode()).decode()
        wanted["data"] = data
        return wanted

    async def _delete(self, secret: Object) -> None:
        log.info("deleting token secret %s, its account is gone", key_of(secret))
        try:
            await self.resource.delete(
                name_of(secret), namespace_of(secret), preconditions={"uid": uid_of(secret)}
            )
        except errors.NotFound:
            return


class LegacyTokenCleaner:
    """Once a day: mark token Secrets that were made automatically and are not used; later delete them."""

    name = "legacy-serviceaccount-token-cleaner-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock, *, period: float) -> None:
        self._clock, self._age = clock, timedelta(seconds=period)
        self._secrets = informers.informer("v1", "secrets", field_selector=f"type={TYPE}")
        self._accounts = informers.informer("v1", "serviceaccounts")
        self._pods = informers.informer("v1", "pods")
        self._resource = client.resource("v1", "secrets")
        self._maps = client.resource("v1", "configmaps")

    async def run(self) -> None:
        """Look around."""
        for informer in (self._secrets, self._accounts, self._pods):
            await informer.synced()
        while True:
            try:
                is_time = await self._has_watched_long_enough()
            except FAILURES as error:
                log.info("cannot clean up token secrets: %s", error)
                is_time = False
            for secret in self._secrets.lister.list() if is_time else ():
                try:
                    await self._judge(secret)
                except FAILURES as error:  # of this one: the others have their turn all the same
                    log.info("cannot clean up secret %s: %s", key_of(secret), error)
            await self._clock.sleep(min(86400.0, self._age.total_seconds() / 2))

    async def _has_watched_long_enough(self) -> bool:
        """Have API servers noted for the whole period which tokens are used? They say since when they do."""
        noted = await self._maps.get(TRACKING, "kube-system")
        since = _day((noted.get("data") or {}).get("since"))
        return since is not None and since + timedelta(days=1) + self._age <= self._clock.now()

    async def _judge(self, secret: Object) -> None:
        now = self._clock.now()
        limit = now - self._age
        used = labels_of(secret).get(LAST_USED)
        if time.parse_time(secret["metadata"]["creationTimestamp"]) >= limit or is_deleting(secret):
            return
        if used is not None and (_day(used) is None or used >= limit.strftime(DAY)):
            return
        if not self._is_automatic(secret) or self._is_mounted(secret):
            return
        marked = labels_of(secret).get(INVALID_SINCE, "")
        if _day(marked) is None:
            labels = {INVALID_SINCE: now.strftime(DAY)}
            await self._resource.patch(
                name_of(secret), {"metadata": {"labels": labels}}, namespace_of(secret)
            )
        elif marked < limit.strftime(DAY):
            unchanged = {"resourceVersion": resource_version_of(secret)}
            await self._resource.delete(name_of(secret), namespace_of(secret), preconditions=unchanged)

    def _is_automatic(self, secret: Object) -> bool:
        """Only Secrets that an account names were made by the cluster itself."""
        account = self._accounts.lister.get(
            namespace_of(secret), annotations_of(secret).get(ACCOUNT_NAME, "")
        )
        named = (account or {}).get("secrets") or []
        return any(one.get("name") == name_of(secret) for one in named)

    def _is_mounted(self, secret: Object) -> bool:
        return any(
            (volume.get("secret") or {}).get("secretName") == name_of(secret)
            for pod in self._pods.lister.list(namespace_of(secret))
            for volume in spec_of(pod).get("volumes") or []
        )


def _day(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", DAY).replace(tzinfo=UTC)
    except ValueError:
        return None
