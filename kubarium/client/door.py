"""Who asks, and may they? The door of a program that lets the API server decide.

A client with a certificate of the cluster's authority is its common name with its organizations as groups; a bearer
token is shown to the API server (TokenReview). What a user may do is asked by SubjectAccessReview. Answers are kept
for a short while.
Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/, which holds for every component
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

REMEMBER = 1000
MASTERS = "system:masters"

VERBS = {"GET": "get", "HEAD": "head", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


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


class Door:
    """Lets requests in. Without a client nothing can be asked: tokens are nobody's, and users may nothing."""

    def __init__(self, tokens: Client | None, accesses: Client | None, clock: Clock, rules: Rules) -> None:
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

    def attributes(self, scope: Mapping[str, Any]) -> Object:
        """What the user wants, in the words of a SubjectAccessReview."""
        verb = VERBS.get(scope["method"], scope["method"].lower())
        return {"nonResourceAttributes": {"path": scope["path"], "verb": verb}}

    def refusal(self, user: User, wanted: Object) -> str:
        """What a user is told who may not."""
        asked = wanted["nonResourceAttributes"]
        return f'forbidden: User "{user.name}" cannot {asked["verb"]} path "{asked["path"]}"'

    async def _recognise(self, scope: Mapping[str, Any]) -> User | None:
        certificate = (scope.get("state") or {}).get("client_cert")
        if certificate:
            return user_of(certificate)
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
            user = User(found.get("username") or "", tuple(found.get("groups") or ()), found.get("uid") or "")
        if len(self._known_tokens) > REMEMBER:
            self._known_tokens.clear()
        self._known_tokens[key] = (now + self._rules.token_for, user)
        return user

    async def _check(self, user: User, scope: Mapping[str, Any]) -> None:
        wanted = self.attributes(scope)
        key, now = (user, repr(wanted)), self._clock.monotonic()
        known = self._known_accesses.get(key)
        if known is None or now >= known[0]:
            allowed = await self._ask(user, wanted)
            if len(self._known_accesses) > REMEMBER:
                self._known_accesses.clear()
            known = (now + (self._rules.allowed_for if allowed else self._rules.denied_for), allowed)
            self._known_accesses[key] = known
        if not known[1]:
            raise errors.Forbidden(self.refusal(user, wanted))

    async def _ask(self, user: User, wanted: Object) -> bool:
        if self._accesses is None:
            return False
        who = {"user": user.name, "groups": list(user.groups), "uid": user.uid}
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
    return User(name, (*groups, "system:authenticated"))
