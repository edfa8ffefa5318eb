"""`kubectl --as`: who may impersonate, asks as somebody else."""

from __future__ import annotations

from urllib.parse import unquote

import orjson

from apiserver.authorization.authorizer import Authorizers
from apiserver.filters.impersonation_modes import impersonate
from apiserver.request import CONTEXT, RequestContext, User
from kubarium.apimachinery import errors
from kubarium.component_base import logging
from kubarium.component_base.serving import App, Receive, Scope, Send

log = logging.get(__name__)

_PREFIX = b"impersonate-"
_EXTRA = "impersonate-extra-"


class Impersonation:
    """Exchanges the user of the context if the headers ask for it and the authorizers allow it."""

    def __init__(self, app: App, authorizer: Authorizers) -> None:
        self._app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [pair for pair in scope["headers"] if pair[0].startswith(_PREFIX)]
        wanted = wanted_user(asked) if asked else None
        if wanted is not None and wanted.name:
            context: RequestContext = scope[CONTEXT]
            user, context.impersonation_constraint = await impersonate(
                self._authorizer, context.user, context.info, wanted
            )
            log.debug("%s acts as %s", context.user.name, wanted.name)
            context.impersonated_by, context.user = context.user, user
            scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(_PREFIX)]
        await self._app(scope, receive, send)


def wanted_user(headers: list[tuple[bytes, bytes]]) -> User:
    """The user that `Impersonate-*` headers describe."""
    name = uid = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        header, value = raw_name.decode("latin-1"), raw_value.decode("utf-8", "replace")
        if header == "impersonate-user":
            name = value
        elif header == "impersonate-uid":
            uid = value
        elif header == "impersonate-group":
            groups.append(value)
        elif header.startswith(_EXTRA):
            extra.setdefault(unquote(header.removeprefix(_EXTRA)), []).append(value)
    if not name and (groups or uid or extra):
        asked = f'&user.DefaultInfo{{Name:"", UID:{_quoted(uid)}, Groups:{_listed(groups)}, Extra:{_shown(extra)}}}'
        raise errors.BadRequest(f"requested {asked} without impersonating a user name")
    return User(name, uid, tuple(groups), {key: tuple(values) for key, values in extra.items()})


def _shown(extra: dict[str, list[str]]) -> str:
    """As Go shows a map of texts, for upstream's words."""
    if not extra:
        return "map[string][]string(nil)"
    return f"map[string][]string{{{', '.join(f'{_quoted(key)}:{_listed(extra[key])}' for key in sorted(extra))}}}"


def _listed(texts: list[str]) -> str:
    return f"[]string{{{', '.join(map(_quoted, texts))}}}" if texts else "[]string(nil)"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
