"""The protocol of authorizers, and several of them one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors


class Decision(Enum):
    """What an authorizer says."""

    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and why."""

    decision: Decision
    reason: str = ""
    error: str = ""
    """Why the question could not be answered, if that is so."""

    @property
    def allowed(self) -> bool:
        """Is the request allowed?"""
        return self.decision is Decision.ALLOW


NO_OPINION = Verdict(Decision.NO_OPINION)
ALLOWED = Verdict(Decision.ALLOW)


class Authorizer(Protocol):
    """Judges a user's request. Answers from memory: it is asked on every request."""

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        """Allow, deny or no opinion."""
        ...


class RemoteAuthorizer(Protocol):
    """Judges by asking somebody else over the network."""

    async def decide(self, user: User, info: RequestInfo) -> Verdict:
        """Allow, deny or no opinion."""
        ...


class AlwaysAllow:
    """`--authorization-mode=AlwaysAllow`, for tests."""

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        return ALLOWED


class AlwaysDeny:
    """`--authorization-mode=AlwaysDeny`, for tests."""

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        return Verdict(Decision.NO_OPINION, "Everything is forbidden.")


class Authorizers:
    """One after another; the first that has an opinion decides. `system:masters` may do everything, always."""

    def __init__(self, authorizers: Sequence[Authorizer | RemoteAuthorizer]) -> None:
        self._all: Sequence[Authorizer | RemoteAuthorizer] = ()
        self.replace(authorizers)
        self.settled = asyncio.Event()  # are the cluster's roles known? Until then a refusal may be too early

    def replace(
        self, authorizers: Sequence[Authorizer | RemoteAuthorizer]
    ) -> Sequence[Authorizer | RemoteAuthorizer]:
        """Ask these from now on; those that were asked before."""
        before, self._all = self._all, tuple(authorizers)
        self._local = tuple(one for one in authorizers if not hasattr(one, "decide"))
        self.remote = len(self._local) != len(self._all)  # is somebody asked over the network?
        return before

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        """What those say that answer from memory."""
        if users.MASTERS in user.groups:
            return ALLOWED
        reasons: list[str] = []
        for authorizer in self._local:
            verdict = authorizer.authorize(user, info)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons)) if reasons else NO_OPINION

    def explain(self, user: User, info: RequestInfo, verdict: Verdict) -> str:
        """Why it is so, for people: who allows answers in no time, and is asked for the reason afterwards."""
        if verdict.reason or not verdict.allowed or users.MASTERS in user.groups:
            return verdict.reason
        for authorizer in self._local:
            if authorizer.authorize(user, info).allowed:
                explain = getattr(authorizer, "explain", None)
                return explain(user, info) if explain is not None else ""
        return ""

    async def decide(self, user: User, info: RequestInfo) -> Verdict:
        """What all say, in order, also those that have to be asked over the network."""
        if not self.remote or users.MASTERS in user.groups:
            return self.authorize(user, info)
        verdicts: list[Verdict] = []
        for authorizer in self._all:
            if hasattr(authorizer, "decide"):
                verdict = await authorizer.decide(user, info)
            else:
                verdict = authorizer.authorize(user, info)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            verdicts.append(verdict)
        return Verdict(
            Decision.NO_OPINION,
            ", ".join(verdict.reason for verdict in verdicts if verdict.reason),
            ", ".join(verdict.error for verdict in verdicts if verdict.error),
        )


def forbidden(user: User, info: RequestInfo, reason: str = "") -> errors.Forbidden:
    """The refusal, in upstream's words."""
    text = _what(user, info) + (f": {reason}" if reason else "")
    if not info.is_resource:
        return errors.Forbidden(f"forbidden: {text}", {})
    return errors.Forbidden.of(info.group, info.resource, info.name, text)


def _what(user: User, info: RequestInfo) -> str:
    if not info.is_resource:
        return f'User "{user.name}" cannot {info.verb} path "{info.path}"'
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    return f'User "{user.name}" cannot {info.verb} resource "{resource}" in API group "{info.group}" {where}'
