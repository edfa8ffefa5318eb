"""`kubectl --as`: who may impersonate, asks as somebody else."""

from __future__ import annotations

from urllib.parse import unquote

from apiserver.authorization.authorizer import Authorizers, forbidden
from apiserver.request import CONTEXT, RequestContext, RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors
from kubarium.component_base import logging
from kubarium.component_base.serving import App, Receive, Scope, Send

log = logging.get(__name__)

_PREFIX = b"impersonate-"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


class Impersonation:
    """Exchanges the user of the context if the headers ask for it and the authorizers allow each part."""

    def __init__(self, app: App, authorizer: Authorizers) -> None:
        self._app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [pair for pair in scope["headers"] if pair[0].startswith(_PREFIX)]
        if asked:
            context: RequestContext = scope[CONTEXT]
            wanted = wanted_user(asked)
            for question in questions(wanted):
                verdict = await self._authorizer.decide(context.user, question)
                if not verdict.allowed:
                    raise forbidden(context.user, question, verdict.reason)
            log.debug("%s acts as %s", context.user.name, wanted.name)
            context.impersonated_by, context.user = context.user, with_implied_groups(wanted)
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
        raise errors.BadRequest(
            "requested impersonation of groups, uid or extra without impersonating a user"
        )
    return User(name, uid, tuple(groups), {key: tuple(values) for key, values in extra.items()})


def questions(wanted: User) -> list[RequestInfo]:
    """What must be allowed, one question for each part of the identity."""
    account = users.service_account_of(wanted.name)
    if account is None:
        found = [_question("users", wanted.name)]
    else:
        found = [_question("serviceaccounts", account[1], namespace=account[0])]
    found += [_question("groups", group) for group in wanted.groups]
    for key, values in wanted.extra.items():
        found += [_question("userextras", value, group=_AUTHENTICATION, subresource=key) for value in values]
    if wanted.uid:
        found.append(_question("uids", wanted.uid, group=_AUTHENTICATION))
    return found


def _question(
    resource: str, name: str, *, group: str = "", namespace: str = "", subresource: str = ""
) -> RequestInfo:
    return RequestInfo("", "impersonate", True, "apis", group, "v1", namespace, resource, subresource, name)


def with_implied_groups(user: User) -> User:
    """What authentication would have added: a service account's groups, and being authenticated."""
    groups = list(user.groups)
    account = users.service_account_of(user.name)
    if account is not None and not groups:
        groups = list(users.service_account_groups(account[0]))
    if users.AUTHENTICATED not in groups and users.UNAUTHENTICATED not in groups:
        groups.append(users.UNAUTHENTICATED if user.name == users.ANONYMOUS else users.AUTHENTICATED)
    return User(user.name, user.uid, tuple(groups), user.extra)
