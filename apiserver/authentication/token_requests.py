"""Answers TokenRequests: what the request wants, within what the server allows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from apiserver.authentication.service_account_tokens import CannotSign, Issuer
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of

WARN_ONLY_SECONDS = 3607
"""What kubelets ask for on behalf of pods whose clients may not know that tokens expire."""

EXTENDED_SECONDS = 365 * 24 * 3600
"""How long such a token really lives, so that old clients are warned about and not locked out."""


class TokenRequests:
    """Issues bound tokens for service accounts."""

    def __init__(self, issuer: Issuer, *, maximum_seconds: int = 0, extend: bool = True) -> None:
        self._issuer = issuer
        longest = issuer.keys.longest
        self._maximum = maximum_seconds or longest
        self._extended = min(EXTENDED_SECONDS, longest) if longest else EXTENDED_SECONDS
        self._extend = extend

    async def issue(self, account: Object, request: Object, bound: Mapping[str, Object]) -> Object:
        """The request with the token in its status; `bound` has the objects it is bound to, by kind in lower case."""
        spec = request["spec"]
        audiences = spec.get("audiences") or list(self._issuer.audiences)
        spec["audiences"] = audiences
        seconds = spec.get("expirationSeconds") or 3600
        if self._maximum and seconds > self._maximum:
            seconds = self._maximum
        spec["expirationSeconds"] = seconds
        lifetime, warn_after = seconds, 0
        if self._extend and seconds == WARN_ONLY_SECONDS and "pod" in bound and self._for_us(audiences):
            lifetime, warn_after = self._extended, WARN_ONLY_SECONDS
        try:
            token = await self._issuer.issue(
                namespace_of(account),
                _reference(account),
                audiences=audiences,
                seconds=lifetime,
                warn_after=warn_after,
                bound={kind: _reference(obj) for kind, obj in bound.items()},
            )
        except CannotSign as error:
            raise errors.InternalError.because(f"failed to generate token: {error}") from error
        expires = self._issuer.clock.now() + timedelta(seconds=seconds)
        request["status"] = {"token": token, "expirationTimestamp": time.format_time(expires)}
        return request

    def _for_us(self, audiences: list[str]) -> bool:
        return set(audiences) <= set(self._issuer.audiences)


def _reference(obj: Object) -> dict[str, str]:
    found = {"name": name_of(obj), "uid": uid_of(obj)}
    return {key: value for key, value in found.items() if value}
