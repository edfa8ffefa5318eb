"""A verified client certificate: its common name is the user, its organizations are the groups."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from typing import Any

from apiserver.authentication.authenticator import Credentials, as_authenticated
from apiserver.request import User
from kubarium.api.authentication import users
from kubarium.component_base.clock import Clock
from kubarium.component_base.issuers import Issuers
from kubarium.component_base.metrics import Timings

_UID = "1.3.6.1.4.1.57683.2"  # the name attribute in which Kubernetes keeps a user's uid
_MAX_CONNECTIONS = 10_000  # certificates remembered
_HOUR, _DAY = 3600, 86400
_LEFT = Timings(
    "apiserver_client_certificate_expiration_seconds",
    "Distribution of the remaining lifetime on the certificate used to authenticate a request.",
    (),
    (
        0,
        1800,
        _HOUR,
        2 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        *(days * _DAY for days in (1, 2, 4, 7, 30, 90, 180, 360)),
    ),
)


class ClientCertificates:
    """Reads the certificate that the TLS layer has verified; once per connection."""

    def __init__(self, clock: Clock, issuers: Issuers | None = None) -> None:
        self._clock = clock
        self._issuers = issuers
        # By identity of the certificate's dict: one per connection. The dict is kept so that its identity stays.
        self._known: dict[int, tuple[Mapping[str, Any], User | None, float]] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user that the certificate names; None without one, or once it has expired."""
        certificate = credentials.client_certificate
        if not certificate:
            return None
        known = self._known.get(id(certificate))
        if known is None or known[0] is not certificate:
            known = self._remember(certificate, credentials.client_certificate_der)
        left = known[2] - self._clock.now().timestamp()
        _LEFT.observe((), left)
        return known[1] if left > 0 else None

    def _remember(
        self, certificate: Mapping[str, Any], der: bytes | None
    ) -> tuple[Mapping[str, Any], User | None, float]:
        if len(self._known) >= _MAX_CONNECTIONS:
            self._known.clear()
        ends = certificate.get("notAfter")
        expiry = float(ssl.cert_time_to_seconds(ends)) if ends else float("inf")
        ours = self._issuers is None or der is None or self._issuers.issued(der)
        known = (certificate, user_of(certificate, der) if ours else None, expiry)
        self._known[id(certificate)] = known
        return known


def user_of(certificate: Mapping[str, Any], der: bytes | None = None) -> User | None:
    """The user in a certificate's subject; None if it has no common name."""
    name = uid = ""
    groups: list[str] = []
    for part in certificate.get("subject") or ():
        for key, value in part:
            match key:
                case "commonName":
                    name = value
                case "organizationName":
                    groups.append(value)
                case other if other == _UID:
                    uid = value
    if not name:
        return None
    extra = {users.CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)} if der else {}
    return as_authenticated(User(name, uid, tuple(groups), extra))
