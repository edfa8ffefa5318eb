"""The questions of the filters, asked by clients: token and access reviews (see `registry/reviews.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Authenticator, Credentials, as_authenticated
from apiserver.authentication.service_account_tokens import ServiceAccountTokens
from apiserver.authorization.abac import ABAC
from apiserver.authorization.authorizer import Authorizers, Decision
from apiserver.authorization.rbac import RBAC
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object

_EVERYTHING: list[Object] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
_ALL_PATHS: list[Object] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
NOT_KNOWN = "invalid bearer token"


class Reviewer:
    """Answers with the same authenticators and authorizers that judge requests."""

    def __init__(
        self,
        authorizer: Authorizers,
        listing: Sequence[RBAC | ABAC | None] = (),
        tokens: ServiceAccountTokens | None = None,
        others: Sequence[Authenticator] = (),
        audiences: Sequence[str] = (),
    ) -> None:
        self._authorizer = authorizer
        self._listing = [one for one in listing if one is not None]  # who can list what somebody may do
        self._tokens = tokens
        self._others = others  # authenticators of tokens that know no audiences
        self._audiences = list(audiences)

    async def whose(self, token: str, audiences: Sequence[str]) -> tuple[User | None, Sequence[str], str]:
        """The user of a token, those of the audiences that it has, or what is wrong with it."""
        wanted = list(audiences) or self._audiences
        try:
            if self._tokens is not None and (found := await self._tokens.review(token, frozenset(wanted))):
                return as_authenticated(found[0]), found[1], ""
            credentials = Credentials({"authorization": f"Bearer {token}"})
            for authenticator in self._others:
                user = await authenticator.authenticate(credentials)
                if user is not None:
                    common = [audience for audience in wanted if audience in self._audiences]
                    return as_authenticated(user), common, ""
        except errors.Unauthorized:
            return None, (), NOT_KNOWN
        return None, (), NOT_KNOWN

    async def may(self, user: User, info: RequestInfo) -> tuple[bool, bool, str]:
        """Is it allowed, is it denied expressly, and why?"""
        verdict = await self._authorizer.decide(user, info)
        reason = self._authorizer.explain(user, info, verdict)
        return verdict.allowed, verdict.decision is Decision.DENY, reason

    def rules(self, user: User, namespace: str) -> tuple[list[Object], list[Object], bool]:
        """All rules that a user holds in a namespace; incomplete where somebody is asked who cannot list them."""
        if users.MASTERS in user.groups and not self._listing:
            return _EVERYTHING, _ALL_PATHS, False
        held = [rule for one in self._listing for rule in one.rules_for(user, namespace)]
        resources = [rule for rule in held if not rule.get("nonResourceURLs")]
        paths = [rule for rule in held if rule.get("nonResourceURLs")]
        return resources, paths, not self._listing or self._authorizer.remote
