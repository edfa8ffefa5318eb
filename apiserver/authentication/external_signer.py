"""Keys that somebody else keeps: a process behind a socket signs tokens and says with which keys they are verified.

    TokenRequest ──▶ Sign(claims) ──▶ header and signature, which are looked at before they are believed
    a token whose key is not known, and now and then ──▶ FetchKeys ──▶ known from now on

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#external-serviceaccount-token-signing-and-key-management
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.authentication.service_account_tokens import CannotSign, PublicKey
from apiserver.configuration import ConfigurationError
from kubarium.component_base import logging, wire
from kubarium.component_base.clock import Clock
from kubarium.component_base.options import format_duration
from kubarium.component_base.plugin_socket import PluginError, PluginSocket

log = logging.get(__name__)

MESSAGES = wire.load(Path(__file__).with_name("external_signer.proto"))
SERVICE = "v1.ExternalJWTSigner"
ALGORITHMS = ("RS256", "ES256", "ES384", "ES512")
LONGEST_ID = 1024
SHORTEST_LIFE = 600  # seconds that a token must be able to live
FETCHING, ASKING, SIGNING = 60.0, 10.0, 60.0  # seconds that an answer may take
AGAIN = 10.0  # seconds after which keys are fetched again when that failed


class KeysUnknown(Exception):
    """The signer does not say which keys there are, or nothing that could be believed."""


@dataclass(frozen=True)
class _Known:
    """A key by which tokens are verified."""

    id: str
    key: PublicKey
    published: bool


class ExternalSigner:
    """As `Keys`, but they are at the other end of a socket."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        self._clock = clock
        address = f"unix-abstract:{endpoint[1:]}" if endpoint.startswith("@") else endpoint
        self._socket = PluginSocket(address, MESSAGES, SERVICE)
        self._keys: Sequence[_Known] = ()
        self._refresh_at = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self.longest = 0  # seconds that a token may live

    async def begin(self, wanted: float) -> None:
        """Ask for keys and for how long tokens may live, if as long as is wanted. Raises ConfigurationError."""
        try:
            await self._fetch(patient=True)
            answer = await self._socket.call("Metadata", deadline=ASKING)
        except KeysUnknown as error:
            text = f"while initially filling key cache: while performing initial cache fill: {error}"
            raise ConfigurationError(f"while setting up external-jwt-signer: {text}") from error
        except PluginError as error:
            raise ConfigurationError(f"while setting up external-jwt-signer: {error}") from error
        self.longest = answer.max_token_expiration_seconds
        if self.longest < SHORTEST_LIFE:
            raise ConfigurationError(
                f"max token life supported by external-jwt-signer ({self.longest}s) is less than acceptable "
                f"(min {SHORTEST_LIFE}s)"
            )
        if wanted > self.longest:
            raise ConfigurationError(
                "service-account-max-token-expiration cannot be set longer than the token expiration supported by "
                f"service-account-signing-endpoint: {format_duration(wanted)} > {format_duration(self.longest)}"
            )

    async def run(self) -> None:
        """Fetch keys as often as the signer wants it, for ever."""
        while True:
            await self._clock.sleep(max(self._refresh_at - self._clock.monotonic(), 0.0))
            try:
                await self._fetch()
            except KeysUnknown as error:
                log.error(
                    "when syncing supported public keys (stale set of keys will be supported): %s", error
                )
                self._refresh_at = self._clock.monotonic() + AGAIN

    async def close(self) -> None:
        """Let go of the signer."""
        await self._socket.close()

    # ----------------------------------------------------------------------------------------------------- as Keys

    @property
    def published(self) -> Mapping[str, PublicKey]:
        """The keys that others may know, by id."""
        return {known.id: known.key for known in self._keys if known.published}

    @property
    def fresh_for(self) -> int:
        """Seconds for which what is published can be relied on."""
        return max(int(self._refresh_at - self._clock.monotonic()), 0)

    async def candidates(self, kid: str | None) -> Sequence[PublicKey]:
        """The keys that may have signed a token which names this one, or none."""
        if not kid:
            return [known.key for known in self._keys]
        if not (found := self._named(kid)):
            await self._fetch_for_once()
            found = self._named(kid)
        return [known.key for known in found]

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """A token. Raises CannotSign."""
        payload = base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
        try:
            answer = await self._socket.call(
                "Sign", "SignJWTRequest", "SignJWTResponse", SIGNING, claims=payload
            )
        except PluginError as error:
            raise CannotSign(f"while signing jwt: {error}") from error
        kid = _checked_header(answer.header)
        if not self._named(kid):
            await self._fetch_for_once()
        if any(not known.published for known in self._named(kid)):
            text = f"key used for signing JWT (kid: {kid}) is excluded from OIDC discovery docs"
            raise CannotSign(f"while validating header: {text}")
        if not answer.signature:
            raise CannotSign("empty signature returned")
        return f"{answer.header}.{payload}.{answer.signature}"

    # -------------------------------------------------------------------------------------------------------- keys

    def _named(self, kid: str) -> list[_Known]:
        return [known for known in self._keys if known.id == kid]

    async def _fetch_for_once(self) -> None:
        """Fetch keys, once for all who need them meanwhile; what is known stays known if that fails."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(), name="keys of tokens")
        await asyncio.wait([self._fetching])
        if not self._fetching.cancelled() and (error := self._fetching.exception()) is not None:
            log.error("error while syncing keys: %s", error)

    async def _fetch(self, patient: bool = False) -> None:
        try:
            answer = await self._socket.call("FetchKeys", deadline=FETCHING, patient=patient)
        except PluginError as error:
            text = f"while getting externally supported jwt signing keys: {error}"
            raise KeysUnknown(f"while fetching token verification keys: {text}") from error
        try:
            self._keys = read_keys(answer)
        except KeysUnknown as error:
            raise KeysUnknown(f"while fetching token verification keys: {error}") from error
        self._refresh_at = self._clock.monotonic() + answer.refresh_hint_seconds


def read_keys(answer: Any) -> list[_Known]:
    """What the signer has told. Raises KeysUnknown."""
    if answer.refresh_hint_seconds <= 0:
        raise KeysUnknown(f"found invalid refresh hint ({answer.refresh_hint_seconds}s)")
    if not answer.keys:
        raise KeysUnknown("found no keys")
    if not answer.HasField("data_timestamp"):
        raise KeysUnknown("invalid data timestamp: proto: invalid nil Timestamp")
    found = []
    for told in answer.keys:
        if not 0 < len(told.key_id) <= LONGEST_ID:
            raise KeysUnknown(f'found invalid public key id "{told.key_id}"')
        if not told.key:
            raise KeysUnknown("found empty public key")
        try:
            key = serialization.load_der_public_key(told.key)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeysUnknown(f"while parsing external public keys: {error}") from error
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            found.append(_Known(told.key_id, key, not told.exclude_from_oidc_discovery))
    return found


def _checked_header(text: str) -> str:
    """The id of the key that a header names. Raises CannotSign."""
    try:
        header = json.loads(base64.urlsafe_b64decode(text + "=" * (math.ceil(len(text) / 4) * 4 - len(text))))
    except ValueError as error:
        raise CannotSign(f"while validating header: while unwrapping header: {error}") from error
    if not isinstance(header, dict) or header.keys() - {"alg", "kid", "typ"}:
        raise CannotSign("while validating header: while parsing header JSON: unknown field")
    kid = header.get("kid") or ""
    if header.get("typ") != "JWT":
        problem = "bad type"
    elif not isinstance(kid, str) or not kid:
        problem = "key id missing"
    elif len(kid) > LONGEST_ID:
        problem = "key id longer than 1 kb"
    elif header.get("alg") not in ALGORITHMS:
        problem = f'bad signing algorithm "{header.get("alg") or ""}"'
    else:
        return kid
    raise CannotSign(f"while validating header: {problem}")
