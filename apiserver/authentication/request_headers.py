"""Callers vouched for by a front proxy: an aggregated API server gets its users this way.

Believed only when the proxy itself shows a certificate of the request-header authority.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Credentials
from apiserver.authentication.client_certificates import user_of
from apiserver.request import User
from kubarium.api.authentication.request_headers import HeaderNames
from kubarium.component_base.issuers import Issuers


class RequestHeaders:
    """`X-Remote-User`, `X-Remote-Group`, `X-Remote-Extra-…`, from proxies that may say so."""

    def __init__(
        self,
        issuers: Issuers,
        *,
        allowed_names: Sequence[str] = (),
        username_headers: Sequence[str] = ("X-Remote-User",),
        uid_headers: Sequence[str] = ("X-Remote-Uid",),
        group_headers: Sequence[str] = ("X-Remote-Group",),
        extra_prefixes: Sequence[str] = ("X-Remote-Extra-",),
    ) -> None:
        self._issuers = issuers
        self._allowed = frozenset(allowed_names)
        self._names = HeaderNames(username_headers, uid_headers, group_headers, extra_prefixes)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user in the headers, if a trusted proxy wrote them."""
        found = self._names.identity(credentials.headers)
        if found is None or not self._trusted(credentials):
            return None
        return User(found.name, found.uid, found.groups, found.extra)

    def _trusted(self, credentials: Credentials) -> bool:
        certificate, der = credentials.client_certificate, credentials.client_certificate_der
        if not certificate or not der or not self._issuers.issued(der):
            return False
        proxy = user_of(certificate)
        return not self._allowed or (proxy is not None and proxy.name in self._allowed)
