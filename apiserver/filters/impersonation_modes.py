"""As whom may one act, and in which requests: the modes of impersonation, the narrowest first.

    associated-node   a pod, as the kubelet of its own node
    arbitrary-node    as the kubelet of any node
    serviceaccount    as a service account
    user-info         as anybody else, with groups, uid and extra
    (legacy)          with the verb `impersonate` alone, in every request

All but the last need two rights: `impersonate-on:MODE:VERB` on what the request is about, and `impersonate:MODE` on
each part of the identity. The first mode in which everything is allowed counts; if none is, the first refusal is told.
Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/5284-constrained-impersonation
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

from apiserver.authorization.authorizer import Authorizers, forbidden
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors, names
from kubarium.component_base.metrics import Counts

_AUTHENTICATION = "authentication.k8s.io"
_ASSOCIATED_NODE = "associated-node"
_EXTRA_OF_ASSOCIATED = "authentication.kubernetes.io/associated-node-keys"
_ATTEMPTS = Counts(
    "apiserver_impersonation_attempts_total",
    "Total number of impersonation attempts split by mode and decision.",
    ("decision", "mode"),
)


class Identity(NamedTuple):
    """Whose rights count from now on. `constraint`: the verb that allowed it, unless it is the old one."""

    user: User
    constraint: str


class _Mode(NamedTuple):
    name: str
    applies: Callable[[User, User], bool]  # whom it is about, who asks

    @property
    def verb(self) -> str:
        return f"impersonate:{self.name}" if self.name else "impersonate"


def _names_nothing_else(wanted: User) -> bool:
    return not (wanted.uid or wanted.groups or wanted.extra)


def _is_own_node(wanted: User, requestor: User) -> bool:
    node = users.node_named(wanted.name)
    return (
        node is not None
        and _names_nothing_else(wanted)
        and users.service_account_of(requestor.name) is not None
        and tuple(requestor.extra.get(users.NODE_NAME, ())) == (node,)
    )


_MODES = (
    _Mode(_ASSOCIATED_NODE, _is_own_node),
    _Mode(
        "arbitrary-node",
        lambda wanted, _: users.node_named(wanted.name) is not None and _names_nothing_else(wanted),
    ),
    _Mode(
        "serviceaccount",
        lambda wanted, _: users.service_account_of(wanted.name) is not None and _names_nothing_else(wanted),
    ),
    _Mode(
        "user-info",
        lambda wanted, _: (
            users.node_named(wanted.name) is None and users.service_account_of(wanted.name) is None
        ),
    ),
    _Mode("", lambda *_: True),
)


async def impersonate(authorizers: Authorizers, requestor: User, info: RequestInfo, wanted: User) -> Identity:
    """The identity in which the request goes on. Raises Forbidden."""
    refusals = []
    for mode in _MODES:
        if mode.applies(wanted, requestor):
            refusal = await _refusal(authorizers, requestor, info, wanted, mode)
            if refusal is None:
                _ATTEMPTS.add(("allowed", mode.name or "legacy"))
                return Identity(_completed(wanted, mode), mode.verb if mode.name else "")
            refusals.append(refusal)
    _ATTEMPTS.add(("denied", ""))
    raise refusals[0]


async def _refusal(
    authorizers: Authorizers, requestor: User, info: RequestInfo, wanted: User, mode: _Mode
) -> errors.Forbidden | None:
    asks = requestor
    if mode.name == _ASSOCIATED_NODE:  # the answer is the same for all its nodes
        asks = dataclasses.replace(requestor, extra={_EXTRA_OF_ASSOCIATED: tuple(sorted(requestor.extra))})
    for question, objection in _questions(info, wanted, mode):
        if objection:
            return forbidden(asks, question, objection)
        verdict = await authorizers.decide(asks, question)
        if not verdict.allowed:
            return forbidden(asks, question, verdict.reason)
    return None


def _questions(info: RequestInfo, wanted: User, mode: _Mode) -> Iterator[tuple[RequestInfo, str]]:
    """What must be allowed, and what is not allowed whatever the authorizers say."""
    if mode.name:
        yield dataclasses.replace(info, verb=f"impersonate-on:{mode.name}:{info.verb}"), ""
    group = _AUTHENTICATION if mode.name else ""
    yield _whom(wanted, mode, group), ""
    if wanted.uid:
        yield _part(mode, _AUTHENTICATION, "uids", wanted.uid), ""
    if mode.name and "" in wanted.groups:
        yield _part(mode, group, "groups", ""), "impersonating the empty string group is not allowed"
    if mode.name and users.MASTERS in wanted.groups:
        text = f"impersonating the {users.MASTERS} group is not allowed"
        yield _part(mode, group, "groups", users.MASTERS), text
    for one in wanted.groups:
        yield _part(mode, group, "groups", one), ""
    if mode.name and (objection := _objection_to_extra(wanted)):
        yield _part(mode, _AUTHENTICATION, "userextras", ""), objection
    for key, values in wanted.extra.items():
        for value in values:
            yield _part(mode, _AUTHENTICATION, "userextras", value, subresource=key), ""


def _whom(wanted: User, mode: _Mode, group: str) -> RequestInfo:
    node = users.node_named(wanted.name) if mode.name else None
    if node is not None:
        return _part(mode, group, "nodes", "*" if mode.name == _ASSOCIATED_NODE else node)
    account = users.service_account_of(wanted.name)
    if account is not None:
        return _part(mode, group, "serviceaccounts", account[1], namespace=account[0])
    return _part(mode, group, "users", wanted.name)


def _part(
    mode: _Mode, group: str, resource: str, name: str, *, namespace: str = "", subresource: str = ""
) -> RequestInfo:
    return RequestInfo("", mode.verb, True, "apis", group, "v1", namespace, resource, subresource, name)


def _objection_to_extra(wanted: User) -> str:
    """Upstream's words; the old mode asks for none of this."""
    for key, values in wanted.extra.items():
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        if problems := names.domain_prefixed_path_errors(key):
            told = f'extra.key: Invalid value: "{key}": {problems[0]}'
            return f"impersonating an invalid key in extra is not allowed: {told}"
        if "" in values:
            return "impersonating the empty string value in extra is not allowed"
    return ""


def _completed(wanted: User, mode: _Mode) -> User:
    """With what authentication would have added: the groups of its sort, and that it is known or not."""
    groups = list(wanted.groups)
    account = users.service_account_of(wanted.name)
    if account is not None and not groups:
        groups = list(users.service_account_groups(account[0]))
    if mode.name and users.node_named(wanted.name) is not None:
        groups = [users.NODES]
    implied = users.UNAUTHENTICATED if wanted.name == users.ANONYMOUS else users.AUTHENTICATED
    if implied not in groups and users.UNAUTHENTICATED not in groups:
        groups.append(implied)
    return dataclasses.replace(wanted, groups=tuple(groups))
