"""Delegated authentication and authorization: a program lets the API server say who asks, and what they may.

A client with a certificate of the cluster's authority is its common name with its organizations as groups; a front
proxy, which has one of another authority, says in headers for whom it asks; a bearer token is shown to the API server
(TokenReview). What a user may do is asked by SubjectAccessReview. Answers are kept
for a short while.
Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/, which holds for every component
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubarium.api.authentication.request_headers import HeaderNames
from kubarium.api.authentication.users import ANONYMOUS as ANONYMOUS_NAME
from kubarium.api.authentication.users import AUTHENTICATED, MASTERS, UNAUTHENTICATED
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock
from kubarium.component_base.issuers import Issuers

REMEMBER = 1000

VERBS = {"GET": "get", "HEAD": "head", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User(ANONYMOUS_NAME, (UNAUTHENTICATED,))


@dataclass(frozen=True)
class Rules:
    """What is decided here, and for how many seconds the API server's answers hold."""

    anonymous: bool = True
    always_allow: bool = False
    open_paths: tuple[str, ...] = ()
    token_for: float = 10.0
    allowed_for: float = 10.0
    denied_for: float = 10.0

    def is_open(self, path: str) -> bool:
        """Is this page shown to everybody? `/path/*` stands for all below."""
        return any(
            path == one or (one.endswith("/*") and path.startswith(one[:-1])) for one in self.open_paths
        )


class Vouchers:
    """Which of two authorities has issued a client's certificate, and what follows from that."""

    def __init__(
        self, clients: Issuers, proxies: Issuers, names: Container[str], headers: HeaderNames
    ) -> None:
        """`names`: the common names of proxies that are believed; if empty, all are."""
        self._clients, self._proxies, self._names, self._headers = clients, proxies, names, headers

    def user_of(self, certificate: Mapping[str, Any], der: bytes, headers: Mapping[str, str]) -> User | None:
        """The user that a proxy names, else the owner of the certificate."""
        owner = user_of(certificate)
        if self._proxies.issued(der) and (not self._names or owner.name in self._names):
            found = self._headers.identity(headers)
            if found is not None:
                groups = found.groups if AUTHENTICATED in found.groups else (*found.groups, AUTHENTICATED)
                return User(found.name, groups, found.uid, tuple(sorted(found.extra.items())))
        return owner if self._clients.issued(der) else None


class Door:
    """Lets requests in. Without a client nothing can be asked: tokens are nobody's, and users may nothing."""

    def __init__(
        self,
        tokens: Client | None,
        accesses: Client | None,
        clock: Clock,
        rules: Rules,
        vouchers: Vouchers | None = None,
    ) -> None:
        """Without `vouchers` TLS knows one authority only, and whoever has its certificate is a client."""
        self._vouchers = vouchers
        self._tokens = self._accesses = None
        if tokens is not None:
            self._tokens = tokens.resource("authentication.k8s.io/v1", "tokenreviews")
        if accesses is not None:
            self._accesses = accesses.resource("authorization.k8s.io/v1", "subjectaccessreviews")
        self._clock, self._rules = clock, rules
        self._known_tokens: dict[str, tuple[float, User | None]] = {}
        self._known_accesses: dict[tuple[User, str], tuple[float, bool]] = {}

    async def enter(self, scope: Mapping[str, Any]) -> User:
        """Raises Unauthorized or Forbidden."""
        user = await self._recognise(scope)
        if user is None:
            if not self._rules.anonymous:
                raise errors.Unauthorized()
            user = ANONYMOUS
        if not (self._rules.always_allow or MASTERS in user.groups or self._rules.is_open(scope["path"])):
            await self._check(user, scope)
        return user

    def attributes(self, scope: Mapping[str, Any]) -> Sequence[Object]:
        """What the user wants, in the words of SubjectAccessReviews; one that is allowed is enough."""
        verb = VERBS.get(scope["method"], scope["method"].lower())
        return ({"nonResourceAttributes": {"path": scope["path"], "verb": verb}},)

    def refusal(self, user: User, wanted: Sequence[Object]) -> str:
        """What a user is told who may not."""
        asked = wanted[0]["nonResourceAttributes"]
        return f'forbidden: User "{user.name}" cannot {asked["verb"]} path "{asked["path"]}"'

    async def _recognise(self, scope: Mapping[str, Any]) -> User | None:
        state = scope.get("state") or {}
        certificate = state.get("client_cert")
        if certificate and self._vouchers is None:
            return user_of(certificate)
        if certificate and self._vouchers is not None:
            user = self._vouchers.user_of(certificate, state["client_cert_der"], _headers(scope))
            if user is not None:
                return user
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer " and self._tokens is not None:
                user = await self._review(value[7:].strip().decode())
                if user is None:
                    raise errors.Unauthorized()
                return user
        return None

    async def _review(self, token: str) -> User | None:
        assert self._tokens is not None
        key, now = hashlib.sha256(token.encode()).hexdigest(), self._clock.monotonic()
        known = self._known_tokens.get(key)
        if known is not None and now < known[0]:
            return known[1]
        body: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        try:
            status = (await self._tokens.create(body)).get("status") or {}
        except (errors.StatusError, OSError, TimeoutError) as error:
            raise errors.Unauthorized() from error
        user = None
        if status.get("authenticated"):
            found = status.get("user") or {}
            extra = tuple(sorted((key, tuple(values)) for key, values in (found.get("extra") or {}).items()))
            groups = tuple(found.get("groups") or ())
            user = User(found.get("username") or "", groups, found.get("uid") or "", extra)
        if len(self._known_tokens) > REMEMBER:
            self._known_tokens.clear()
        self._known_tokens[key] = (now + self._rules.token_for, user)
        return user

    async def _check(self, user: User, scope: Mapping[str, Any]) -> None:
        wanted = self.attributes(scope)
        for one in wanted:
            if await self._may(user, one):
                return
        raise errors.Forbidden(self.refusal(user, wanted))

    async def _may(self, user: User, wanted: Object) -> bool:
        key, now = (user, repr(wanted)), self._clock.monotonic()
        known = self._known_accesses.get(key)
        if known is None or now >= known[0]:
            allowed = await self._ask(user, wanted)
            if len(self._known_accesses) > REMEMBER:
                self._known_accesses.clear()
            known = (now + (self._rules.allowed_for if allowed else self._rules.denied_for), allowed)
            self._known_accesses[key] = known
        return known[1]

    async def _ask(self, user: User, wanted: Object) -> bool:
        if self._accesses is None:
            return False
        who: Object = {"user": user.name, "groups": list(user.groups), "uid": user.uid}
        if user.extra:
            who["extra"] = {key: list(values) for key, values in user.extra}
        body: Object = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**who, **wanted},
        }
        try:
            status = (await self._accesses.create(body)).get("status") or {}
        except (errors.StatusError, OSError, TimeoutError) as error:
            raise errors.Forbidden(f"authorization failed: {error}") from error
        return bool(status.get("allowed"))


def user_of(certificate: Mapping[str, Any]) -> User:
    """Common name and organizations of a verified certificate, plus the group of everybody who is known."""
    name, groups = "", []
    for attributes in certificate.get("subject") or ():
        for key, value in attributes:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED))


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """Names in lower case; values of a repeated header joined by NUL."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}\0{value}" if name in found else value
    return found
