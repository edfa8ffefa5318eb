"""The protocol of authorizers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from apiserver.request import RequestInfo, User


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

    @property
    def allowed(self) -> bool:
        """Is the request allowed?"""
        return self.decision is Decision.ALLOW


NO_OPINION = Verdict(Decision.NO_OPINION)


class Authorizer(Protocol):
    """Judges a user's request. Answers from memory: it is asked on every request."""

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        """Allow, deny or no opinion."""
        ...
