"""The headers in which a front proxy says who it is that asks.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote


class Identity(NamedTuple):
    """Who asks, as the headers say."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: dict[str, tuple[str, ...]]


class HeaderNames:
    """In which headers to look; the first of several that says something counts."""

    def __init__(
        self,
        users: Sequence[str] = ("X-Remote-User",),
        uids: Sequence[str] = ("X-Remote-Uid",),
        groups: Sequence[str] = ("X-Remote-Group",),
        extra_prefixes: Sequence[str] = ("X-Remote-Extra-",),
    ) -> None:
        self._users, self._uids = _lower(users), _lower(uids)
        self._groups, self._extras = _lower(groups), _lower(extra_prefixes)

    def identity(self, headers: Mapping[str, str]) -> Identity | None:
        """Names of headers are in lower case, values of a repeated header joined by NUL. None: nobody is named."""
        name = _first(headers, self._users)
        if not name:
            return None
        groups = [
            group.strip()
            for header in self._groups
            for group in headers.get(header, "").split("\0")
            if group.strip()
        ]
        extra = {
            unquote(header.removeprefix(prefix)): tuple(value.split("\0"))
            for prefix in self._extras
            for header, value in headers.items()
            if header.startswith(prefix)
        }
        return Identity(name, _first(headers, self._uids), tuple(groups), extra)


def _first(headers: Mapping[str, str], names: Sequence[str]) -> str:
    return next((headers[name] for name in names if headers.get(name)), "")


def _lower(headers: Sequence[str]) -> tuple[str, ...]:
    return tuple(header.lower() for header in headers)
