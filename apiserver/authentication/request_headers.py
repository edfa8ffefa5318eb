"""Callers vouched for by a front proxy: an aggregated API server gets its users this way.

Believed only when the proxy itself shows a certificate of the request-header authority.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from apiserver.authentication.authenticator import Credentials
from apiserver.authentication.client_certificates import user_of
from apiserver.authentication.issuers import Issuers
from apiserver.request import User


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
        self._users, self._uids = _lower(username_headers), _lower(uid_headers)
        self._groups, self._extras = _lower(group_headers), _lower(extra_prefixes)

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user in the headers, if a trusted proxy wrote them."""
        name = next((credentials.headers[h] for h in self._users if credentials.headers.get(h)), "")
        if not name or not self._trusted(credentials):
            return None
        groups = [
            group.strip()
            for header in self._groups
            for group in credentials.headers.get(header, "").split("\0")
            if group.strip()
        ]
        extra = {
            unquote(header.removeprefix(prefix)): tuple(value.split("\0"))
            for prefix in self._extras
            for header, value in credentials.headers.items()
            if header.startswith(prefix)
        }
        uid = next((credentials.headers[h] for h in self._uids if credentials.headers.get(h)), "")
        return User(name, uid, tuple(groups), extra)

    def _trusted(self, credentials: Credentials) -> bool:
        certificate, der = credentials.client_certificate, credentials.client_certificate_der
        if not certificate or not der or not self._issuers.issued(der):
            return False
        proxy = user_of(certificate)
        return not self._allowed or (proxy is not None and proxy.name in self._allowed)


def _lower(headers: Sequence[str]) -> tuple[str, ...]:
    return tuple(header.lower() for header in headers)
