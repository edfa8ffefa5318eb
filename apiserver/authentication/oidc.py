"""Tokens of foreign issuers (OpenID Connect): `--oidc-*`, `--authentication-config`.

A token is believed if its issuer is trusted, one of the issuer's keys has signed it, it is meant for one of the
audiences and its time has come and not gone; then its claims are turned into a user.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#openid-connect-tokens
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from apiserver.authentication.authenticator import Credentials
from apiserver.authentication.claims import ClaimsRefused
from apiserver.authentication.configuration import Trust
from apiserver.authentication.provider import Provider, ProviderError
from apiserver.configuration import FollowedFile
from apiserver.request import User
from kubarium.apimachinery import errors
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

RETRY_SECONDS = 10.0  # until an issuer that does not answer is asked again
RELOAD_SECONDS = 5.0  # how often the configuration file is looked at
_EARLY_SECONDS = 300.0  # as much may an issuer's clock be ahead of ours
_GOOGLE = "accounts.google.com"
_SIGNATURE_ONLY: Any = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


class TokenRefused(Exception):
    """The token is not good."""


class Verifier:
    """Knows genuine tokens of one issuer."""

    def __init__(
        self,
        issuer: str,
        provider: Provider,
        audiences: Sequence[str],
        algorithms: Sequence[str],
        clock: Clock,
    ) -> None:
        self.issuer = issuer
        self.provider = provider
        self._audiences = frozenset(audiences)
        self._algorithms = algorithms
        self._clock = clock

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims. Raises TokenRefused, ProviderError."""
        if not self.provider.discovered:
            raise TokenRefused("oidc: authenticator not initialized")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenRefused(f"oidc: malformed jwt: {error}") from None
        algorithm, key_id = str(header.get("alg")), str(header.get("kid") or "")
        if algorithm not in self._algorithms:
            expected = " ".join(f'"{name}"' for name in self._algorithms)
            raise TokenRefused(
                f'oidc: id token signed with unsupported algorithm, expected [{expected}] got "{algorithm}"'
            )

        def attempt(key: jwt.PyJWK) -> dict[str, Any] | None:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token, key.key, algorithms=[algorithm], options=_SIGNATURE_ONLY
                )
            except (jwt.InvalidTokenError, TypeError, ValueError):
                return None
            return claims

        claims = await self.provider.first(key_id, attempt)
        if claims is None:
            raise TokenRefused("failed to verify signature: failed to verify id token signature")
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        given = claims.get("aud") or []
        if not self._audiences & set([given] if isinstance(given, str) else given):
            raise TokenRefused(f"oidc: expected audience in {sorted(self._audiences)} got {given}")
        now = self._clock.now().timestamp()
        expiry, start = claims.get("exp"), claims.get("nbf")
        if not isinstance(expiry, int | float) or expiry < now:
            raise TokenRefused(f"oidc: token is expired (Token Expiry: {expiry})")
        if isinstance(start, int | float) and start > now + _EARLY_SECONDS:
            raise TokenRefused("oidc: current time is before the nbf (not before) time")


def issuer_of(token: str) -> str:
    """What a token says of its issuer, which nobody has checked yet; empty if it is no token of this sort."""
    if token.count(".") != 2:
        return ""
    try:
        found = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.InvalidTokenError, ValueError):
        return ""
    return f"https://{_GOOGLE}" if found == _GOOGLE else found if isinstance(found, str) else ""


class OIDC:
    """One trusted issuer."""

    def __init__(self, trust: Trust, clock: Clock) -> None:
        self.trust = trust
        self.provider = Provider(trust.url, trust.discovery_url, trust.authority)
        self._clock = clock
        self._verifier = self._verifier_of(trust.url, self.provider)
        self._others: dict[str, Verifier] = {}

    def _verifier_of(self, issuer: str, provider: Provider) -> Verifier:
        return Verifier(issuer, provider, self.trust.audiences, self.trust.algorithms, self._clock)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user of a token of this issuer. Raises Unauthorized if it is one and not good."""
        token = credentials.bearer_token
        if issuer_of(token) != self.trust.url:
            return None
        try:
            claims = await self._verifier.verify(token)
            if self.trust.mappings.groups.claim:
                await self._fetch_claim(claims, self.trust.mappings.groups.claim)
            return self.trust.mappings.user_of(claims)
        except (TokenRefused, ProviderError, ClaimsRefused) as error:
            log.warning("a token of %s is refused: %s", self.trust.url, error)
            raise errors.Unauthorized() from None

    async def _fetch_claim(self, claims: dict[str, Any], claim: str) -> None:
        """A claim may be kept elsewhere, in a token of its own.

        Source: https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims
        """
        names = claims.get("_claim_names")
        if claim in claims or not isinstance(names, dict) or claim not in names:
            return
        source = (claims.get("_claim_sources") or {}).get(names[claim])
        if not isinstance(source, dict):
            raise TokenRefused(
                f"id token _claim_names contained a source {names[claim]} missing in _claims_sources"
            )
        if not source.get("endpoint"):
            return
        access = source.get("access_token")
        headers = {"Authorization": f"Bearer {access}"} if access else None
        token = (await self.provider.fetch_text(source["endpoint"], headers)).strip()
        found = await (await self._verifier_for(issuer_of(token))).verify(token)
        if claim not in found:
            text = f'jwt returned by distributed claim endpoint "{source["endpoint"]}" did not contain claim: {claim}'
            raise TokenRefused(text)
        claims[claim] = found[claim]

    async def _verifier_for(self, issuer: str) -> Verifier:
        if issuer == self.trust.url:
            return self._verifier
        known = self._others.get(issuer)
        if known is None:
            provider = Provider(issuer, authority=self.trust.authority)
            await provider.discover()
            known = self._others[issuer] = self._verifier_of(issuer, provider)
        return known

    async def close(self) -> None:
        """Let the connections go."""
        for provider in (self.provider, *(verifier.provider for verifier in self._others.values())):
            await provider.close()


class TrustedIssuers:
    """All trusted issuers; follows the configuration file while it runs."""

    def __init__(
        self,
        trusts: Sequence[Trust],
        clock: Clock,
        file: FollowedFile[list[Trust]] | None = None,
    ) -> None:
        self._clock = clock
        self._file = file
        self._all = [OIDC(trust, clock) for trust in trusts]

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user of a token of any of the issuers."""
        for issuer in self._all:
            user = await issuer.authenticate(credentials)
            if user is not None:
                return user
        return None

    async def run(self) -> None:
        """Find out where the issuers' keys are, and go with the configuration file."""
        waited = 0.0
        try:
            await self._discover()
            while True:
                await self._clock.sleep(RELOAD_SECONDS)
                waited += RELOAD_SECONDS
                if await self._follow() or waited >= RETRY_SECONDS:
                    waited = 0.0
                    await self._discover()
        finally:
            for issuer in self._all:
                await issuer.close()

    async def _discover(self) -> None:
        async def ask(issuer: OIDC) -> None:
            try:
                await issuer.provider.discover()
            except ProviderError as error:
                log.warning("oidc authenticator: initializing plugin: %s", error)

        await asyncio.gather(*(ask(issuer) for issuer in self._all if not issuer.provider.discovered))

    async def _follow(self) -> bool:
        """Take over a changed file."""
        trusts = self._file.fresh() if self._file is not None else None
        if trusts is None:
            return False
        before, self._all = self._all, [OIDC(trust, self._clock) for trust in trusts]
        for issuer in before:
            with contextlib.suppress(ConnectionError):
                await issuer.close()
        return True
