"""Who asks, and may they? Certificates are verified here, everything else is asked of the API server.

A client with a certificate of the cluster's authority is its common name with its organizations as groups; a bearer
token is shown to the API server (TokenReview). Whether the user may do it is asked by SubjectAccessReview on the
resource `nodes/<part>`. Answers are kept for a short while.
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

ALLOWED_FOR = 300.0  # seconds
DENIED_FOR = 30.0
TOKEN_FOR = 120.0
REMEMBER = 1000

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PARTS = {
    "stats": "stats",
    "metrics": "metrics",
    "logs": "log",
    "checkpoint": "checkpoint",
    "pods": "pods",
    "runningpods": "pods",
    "healthz": "healthz",
    "configz": "configz",
}
"""First element of the path -> subresource of `nodes`; everything else is `proxy`."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


class Unauthorized(Exception):
    """401."""


class Forbidden(Exception):
    """403; the text says who may not do what."""


class Door:
    """Lets requests in."""

    def __init__(
        self, client: Client, node_name: str, clock: Clock, *, anonymous: bool, always_allow: bool
    ) -> None:
        self._tokens = client.resource("authentication.k8s.io/v1", "tokenreviews")
        self._accesses = client.resource("authorization.k8s.io/v1", "subjectaccessreviews")
        self._node = node_name
        self._clock = clock
        self._anonymous = anonymous
        self._always_allow = always_allow
        self._known_tokens: dict[str, tuple[float, User | None]] = {}
        self._known_accesses: dict[tuple[User, str, str, str], tuple[float, bool, str]] = {}

    async def enter(self, scope: Mapping[str, Any]) -> User:
        """Raises Unauthorized or Forbidden."""
        user = await self._recognise(scope)
        if user is None:
            if not self._anonymous:
                raise Unauthorized
            user = User("system:anonymous", ("system:unauthenticated",))
        if not self._always_allow:
            await self._check(user, VERBS.get(scope["method"], "get"), scope["path"])
        return user

    async def _recognise(self, scope: Mapping[str, Any]) -> User | None:
        certificate = (scope.get("state") or {}).get("client_cert")
        if certificate:
            return user_of(certificate)
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                return await self._review(value[7:].strip().decode())
        return None

    async def _review(self, token: str) -> User | None:
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
            raise Unauthorized from error
        user = None
        if status.get("authenticated"):
            found = status.get("user") or {}
            user = User(found.get("username") or "", tuple(found.get("groups") or ()), found.get("uid") or "")
        if len(self._known_tokens) > REMEMBER:
            self._known_tokens.clear()
        self._known_tokens[key] = (now + TOKEN_FOR, user)
        return user

    async def _check(self, user: User, verb: str, path: str) -> None:
        part = PARTS.get(path.strip("/").split("/")[0], "proxy")
        key, now = (user, verb, part, ""), self._clock.monotonic()
        known = self._known_accesses.get(key)
        if known is None or now >= known[0]:
            allowed, reason = await self._ask(user, verb, part)
            if len(self._known_accesses) > REMEMBER:
                self._known_accesses.clear()
            known = (now + (ALLOWED_FOR if allowed else DENIED_FOR), allowed, reason)
            self._known_accesses[key] = known
        if not known[1]:
            raise Forbidden(
                f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{part}])\n"
            )

    async def _ask(self, user: User, verb: str, part: str) -> tuple[bool, str]:
        body: Object = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name,
                "groups": list(user.groups),
                "uid": user.uid,
                "resourceAttributes": {
                    "verb": verb,
                    "resource": "nodes",
                    "subresource": part,
                    "name": self._node,
                    "version": "v1",
                },
            },
        }
        try:
            status = (await self._accesses.create(body)).get("status") or {}
        except (errors.StatusError, OSError, TimeoutError) as error:
            raise Forbidden(f"authorization failed: {error}\n") from error
        return bool(status.get("allowed")), status.get("reason") or ""


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
