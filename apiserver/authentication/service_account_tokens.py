"""Tokens of service accounts: issue them, and know them again.

A token is a signed statement (JWT): who it is for, how long, and to which pod, node or secret it is bound.
Knowing it again means: signature, issuer, audience, times; then that the account still exists with the same uid, and so
does what the token is bound to. Whoever asks often is answered by `token_cache.py`.

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.authentication.authenticator import Credentials
from apiserver.request import User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, uid_of
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

LEGACY_ISSUER = "kubernetes/serviceaccount"
_CLAIM = "kubernetes.io"
_LEGACY_CLAIM = "kubernetes.io/serviceaccount/"
_BOUND_DELETION_LEEWAY = timedelta(seconds=60)  # a pod that is going away may still talk for a while

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class CannotSign(Exception):
    """There is no token to be had; the text says why."""


class TokenKeys(Protocol):
    """Whoever signs tokens, and knows by which keys they are verified: `Keys`, or somebody behind a socket."""

    @property
    def published(self) -> Mapping[str, PublicKey]:
        """The keys that others may know, by id."""
        ...

    @property
    def fresh_for(self) -> int:
        """Seconds for which what is published can be relied on."""
        ...

    @property
    def longest(self) -> int:
        """Seconds that a token may live; 0 is no limit."""
        ...

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """A token. Raises CannotSign."""
        ...

    async def candidates(self, kid: str | None) -> Iterable[PublicKey]:
        """The keys that may have signed a token which names this one, or none."""
        ...


@dataclass(frozen=True)
class Keys:
    """What signs tokens and what they are verified with, by key id."""

    signing: PrivateKey
    verifying: Mapping[str, PublicKey]
    fresh_for: int = 3600
    longest: int = 0

    @classmethod
    def load(cls, signing_file: str, verifying_files: Sequence[str] = ()) -> Keys:
        """Read PEM files: a private key to sign, public (or private) keys to verify."""
        signing = _private_key(Path(signing_file).read_bytes())
        found = [signing.public_key()]
        for path in verifying_files:
            found += _public_keys(Path(path).read_bytes())
        return cls(signing, {key_id(key): key for key in found})

    @property
    def published(self) -> Mapping[str, PublicKey]:
        """All of them."""
        return self.verifying

    async def candidates(self, kid: str | None) -> Iterable[PublicKey]:
        """The key of that id, or any."""
        named = self.verifying.get(kid) if kid is not None else None
        return [named] if named is not None else self.verifying.values()

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """A token."""
        headers = {"kid": key_id(self.signing.public_key()), "typ": None}
        return jwt.encode(dict(claims), self.signing, algorithm=_algorithm(self.signing), headers=headers)


def key_id(key: PublicKey) -> str:
    """The hash of a public key, as upstream writes it into `kid`."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, form)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def _private_key(pem: bytes) -> PrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("service account keys are RSA or EC keys")
    return key


def _public_keys(pem: bytes) -> list[PublicKey]:
    if b"PRIVATE KEY" in pem:
        return [_private_key(pem).public_key()]
    found: list[PublicKey] = []
    marker = b"-----BEGIN "
    for block in pem.split(marker)[1:]:
        key = serialization.load_pem_public_key(marker + block)
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            found.append(key)
    return found


def _algorithm(key: PrivateKey | PublicKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return "RS256"
    return {256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size]


@dataclass(frozen=True)
class Issuer:
    """Signs tokens in the name of one issuer."""

    name: str
    keys: TokenKeys
    clock: Clock
    audiences: tuple[str, ...] = field(default=())

    async def issue(
        self,
        namespace: str,
        account: Mapping[str, str],
        *,
        audiences: Sequence[str],
        seconds: int,
        warn_after: int = 0,
        bound: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:
        """A token for a service account (`name`, `uid`), bound to `pod`, `node` or `secret` if given.

        Raises CannotSign.
        """
        now = int(self.clock.now().timestamp())
        private: dict[str, Any] = {
            "namespace": namespace,
            **(bound or {}),
            "serviceaccount": dict(account),
        }
        if warn_after:
            private["warnafter"] = now + warn_after
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": self.name,
            "jti": str(uuid.uuid4()),
            _CLAIM: private,
            "nbf": now,
            "sub": users.service_account_name(namespace, account["name"]),
        }
        return await self.keys.sign(claims)


class ServiceAccountTokens:
    """Knows tokens that this cluster has issued."""

    def __init__(
        self, keys: TokenKeys, issuers: Sequence[str], audiences: Sequence[str], client: Client, clock: Clock
    ) -> None:
        self._keys = keys
        self._issuers = frozenset(issuers)
        self._audiences = frozenset(audiences)
        self._client = client
        self._clock = clock

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The service account, if the token is good for this API server."""
        found = await self.review(credentials.bearer_token, self._audiences)
        return found[0] if found else None

    async def review(
        self, token: str, audiences: frozenset[str] | Sequence[str]
    ) -> tuple[User, list[str]] | None:
        """The user and those of the wanted audiences that the token has; None if it is not one of ours.

        Raises Unauthorized if it is one of ours and no longer good.
        """
        claims = await self._verified(token)
        if claims is None:
            return None
        if claims.get("iss") == LEGACY_ISSUER:
            return await self._legacy(token, claims), sorted(audiences)
        given = claims.get("aud") or []
        common = [
            audience for audience in ([given] if isinstance(given, str) else given) if audience in audiences
        ]
        if not common:
            raise _refused(
                "token audiences %s are invalid for the target audiences %s", given, sorted(audiences)
            )
        self._check_times(claims)
        return await self._user_of(claims), common

    async def _verified(self, token: str) -> dict[str, Any] | None:
        """The claims, if the signature is right; None if the token does not claim to be ours."""
        if token.count(".") != 2:
            return None
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            return None
        issuer = unverified.get("iss")
        if issuer != LEGACY_ISSUER and issuer not in self._issuers:
            return None
        kid = header.get("kid")
        for key in await self._keys.candidates(kid if isinstance(kid, str) else None):
            try:
                verified: dict[str, Any] = jwt.decode(
                    token, key, algorithms=[_algorithm(key)], options=_SIGNATURE_ONLY
                )
            except jwt.InvalidTokenError:
                continue
            return verified
        raise _refused("the token's signature is not ours")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        if not isinstance(claims.get("exp"), int | float) or now > claims["exp"]:
            raise _refused("service account token has expired")
        if isinstance(claims.get("nbf"), int | float) and now < claims["nbf"] - 1:
            raise _refused("service account token is not valid yet")

    async def _user_of(self, claims: Mapping[str, Any]) -> User:
        private = claims.get(_CLAIM) or {}
        namespace, account = private.get("namespace") or "", private.get("serviceaccount") or {}
        name = account.get("name") or ""
        if claims.get("sub") != users.service_account_name(namespace, name):
            raise _refused("the token's subject is not its service account")
        await self._alive("serviceaccounts", namespace, account)
        extra: dict[str, tuple[str, ...]] = {}
        if claims.get("jti"):
            extra[users.CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
        if secret := private.get("secret"):
            await self._alive("secrets", namespace, secret)
        if pod := private.get("pod"):
            await self._alive("pods", namespace, pod)
            extra |= {users.POD_NAME: (pod["name"],), users.POD_UID: (pod["uid"],)}
        if node := private.get("node"):
            if not pod:
                await self._alive("nodes", "", node)
            extra[users.NODE_NAME] = (node["name"],)
            if node.get("uid"):
                extra[users.NODE_UID] = (node["uid"],)
        return User(claims["sub"], account["uid"], users.service_account_groups(namespace), extra)

    async def _legacy(self, token: str, claims: Mapping[str, Any]) -> User:
        """A token kept in a Secret: never expires, dies with the Secret."""
        namespace = claims.get(_LEGACY_CLAIM + "namespace") or ""
        name = claims.get(_LEGACY_CLAIM + "service-account.name") or ""
        account = {"name": name, "uid": claims.get(_LEGACY_CLAIM + "service-account.uid") or ""}
        if claims.get("sub") != users.service_account_name(namespace, name):
            raise _refused("the token's subject is not its service account")
        secret_name = claims.get(_LEGACY_CLAIM + "secret.name") or ""
        secret = await self._alive("secrets", namespace, {"name": secret_name})
        if base64.b64decode((secret.get("data") or {}).get("token") or "").decode("latin-1") != token:
            raise _refused("token does not match server's copy")
        await self._alive("serviceaccounts", namespace, account)
        return User(claims["sub"], account["uid"], users.service_account_groups(namespace))

    async def _alive(self, plural: str, namespace: str, reference: Mapping[str, str]) -> Object:
        """The object that a token relies on. Raises Unauthorized if it is gone or another one."""
        name = reference.get("name") or ""
        try:
            found = await self._client.resource("v1", plural).get(name, namespace)
        except errors.NotFound:
            raise _refused("%s %s/%s is gone", plural, namespace, name) from None
        if reference.get("uid") and uid_of(found) != reference["uid"]:
            raise _refused("%s %s/%s is another one than the token's", plural, namespace, name)
        deleted = found["metadata"].get("deletionTimestamp")
        if deleted and time.parse_time(deleted) + _BOUND_DELETION_LEEWAY < self._clock.now():
            raise _refused("%s %s/%s is being deleted", plural, namespace, name)
        return found


_SIGNATURE_ONLY: Any = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


def _refused(message: str, *arguments: object) -> errors.Unauthorized:
    """The client learns only that it is not known; the log says why."""
    log.debug(message, *arguments)
    return errors.Unauthorized()


@dataclass(frozen=True)
class IssuerDocument:
    """What others read to verify our tokens by themselves."""

    media_type: str
    keys: TokenKeys
    make: Callable[[Mapping[str, PublicKey]], Object]

    def answer(self) -> tuple[str, int, Object]:
        """Content type, seconds for which it may be kept, and content."""
        return self.media_type, self.keys.fresh_for, self.make(self.keys.published)


def discovery_documents(
    issuer: str, keys: TokenKeys, server: str, keys_at: str = ""
) -> dict[str, IssuerDocument]:
    """The documents by which others can verify our tokens, by path.

    `server` is where this API server can be reached: issuers are names that need not lead anywhere. `keys_at` is the
    URL of the keys where others are to look for them elsewhere.
    """

    def configuration(published: Mapping[str, PublicKey]) -> Object:
        return {
            "issuer": issuer,
            "jwks_uri": keys_at or server.rstrip("/") + "/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({_algorithm(key) for key in published.values()}),
        }

    def web_keys(published: Mapping[str, PublicKey]) -> Object:
        return {"keys": [_web_key(name, key) for name, key in published.items()]}

    return {
        "/.well-known/openid-configuration": IssuerDocument("application/json", keys, configuration),
        "/openid/v1/jwks": IssuerDocument("application/jwk-set+json", keys, web_keys),
    }


def _web_key(name: str, key: PublicKey) -> Object:
    algorithm = jwt.get_algorithm_by_name(_algorithm(key))
    found: Object = algorithm.to_jwk(key, as_dict=True)
    return {"use": "sig", "kty": found["kty"], "kid": name, "alg": _algorithm(key),
            **{part: found[part] for part in ("crv", "x", "y", "n", "e") if part in found}}  # fmt: skip
