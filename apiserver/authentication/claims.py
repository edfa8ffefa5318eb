"""From the claims of a token to a user, by claim names or by CEL.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.request import User
from kubarium.apimachinery.cel import compiler, types
from kubarium.apimachinery.cel.compiler import CostExceeded, EvaluationError, Program

CLAIMS = {"claims": types.map_of(types.STRING, types.DYN)}
USER = {
    "user": types.object_of(
        {
            "username": types.STRING,
            "uid": types.STRING,
            "groups": types.list_of(types.STRING),
            "extra": types.map_of(types.STRING, types.list_of(types.STRING)),
        },
        "kubernetes.UserInfo",
    )
}
EMAIL, EMAIL_VERIFIED = "email", "email_verified"


class ClaimsRefused(Exception):
    """The token is genuine, but its claims do not make a user."""


def compile_claims(expression: str, result: types.Type | None = None) -> Program:
    """Compile an expression over `claims`. Raises CompileError."""
    return compiler.compile(expression, CLAIMS, result)


def compile_user(expression: str) -> Program:
    """Compile a rule over `user`. Raises CompileError."""
    return compiler.compile(expression, USER, types.BOOL)


@dataclass(frozen=True)
class Source:
    """Where a part of the user comes from: a claim with a prefix, or an expression."""

    claim: str = ""
    prefix: str = ""
    program: Program | None = None


@dataclass(frozen=True)
class Rule:
    """A condition, and what to say when it does not hold."""

    program: Program
    message: str = ""


@dataclass(frozen=True)
class ClaimMappings:
    """All that is needed to make a user of claims."""

    username: Source
    groups: Source = Source()
    uid: Source = Source()
    extra: tuple[tuple[str, Program], ...] = ()
    required: tuple[tuple[str, str], ...] = ()
    claim_rules: tuple[Rule, ...] = ()
    user_rules: tuple[Rule, ...] = ()

    def user_of(self, claims: Mapping[str, Any]) -> User:
        """The user that the claims describe. Raises ClaimsRefused."""
        user = User(self._name(claims), self._uid(claims), tuple(self._groups(claims)), self._extra(claims))
        for claim, wanted in self.required:
            if claim not in claims:
                raise ClaimsRefused(f"oidc: required claim {claim} not present in ID token")
            if claims[claim] != wanted:
                text = f"oidc: required claim {claim} value does not match. Got = {claims[claim]}, want = {wanted}"
                raise ClaimsRefused(text)
        self._check(self.claim_rules, {"claims": claims}, "claim validation expression")
        shown = {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
        }
        self._check(self.user_rules, {"user": shown}, "user info validation rule")
        return user

    def _name(self, claims: Mapping[str, Any]) -> str:
        if self.username.program is not None:
            return _text(_value(self.username.program, claims, "username claim"), "username claim")
        name = _text_claim(claims, self.username.claim, "username claims")
        # Source: https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims
        if self.username.claim == EMAIL and EMAIL_VERIFIED in claims and claims[EMAIL_VERIFIED] is not True:
            raise ClaimsRefused("oidc: email not verified")
        return self.username.prefix + name

    def _uid(self, claims: Mapping[str, Any]) -> str:
        if self.uid.program is not None:
            return _text(_value(self.uid.program, claims, "uid claim"), "uid claim")
        return _text_claim(claims, self.uid.claim, "uid claim") if self.uid.claim else ""

    def _groups(self, claims: Mapping[str, Any]) -> list[str]:
        if self.groups.program is not None:
            return _texts(_value(self.groups.program, claims, "group claim"), "group claim")
        if not self.groups.claim or self.groups.claim not in claims:
            return []
        found = claims[self.groups.claim]
        groups = [found] if isinstance(found, str) else found
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise ClaimsRefused(
                f'oidc: parse groups claim "{self.groups.claim}": neither text nor a list of texts'
            )
        return [self.groups.prefix + group for group in groups]

    def _extra(self, claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        found = {}
        for key, program in self.extra:
            values = _texts(_value(program, claims, "extra claim"), "extra claim")
            if values:
                found[key] = tuple(values)
        return found

    def _check(self, rules: Sequence[Rule], bindings: Mapping[str, Any], what: str) -> None:
        for rule in rules:
            try:
                holds = rule.program.evaluate(bindings)
            except (EvaluationError, CostExceeded) as error:
                raise ClaimsRefused(f"oidc: error evaluating {what}: {error}") from None
            if holds is not True:
                text = f"validation expression '{rule.program.source}' failed: {rule.message}"
                raise ClaimsRefused(f"oidc: error evaluating {what}: {text}")


def _value(program: Program, claims: Mapping[str, Any], what: str) -> Any:
    try:
        return program.evaluate({"claims": claims})
    except (EvaluationError, CostExceeded) as error:
        raise ClaimsRefused(f"oidc: error evaluating {what} expression: {error}") from None


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    raise ClaimsRefused(f"oidc: error evaluating {what} expression: {what} expression must return a string")


def _text_claim(claims: Mapping[str, Any], name: str, what: str) -> str:
    if name not in claims:
        raise ClaimsRefused(f'oidc: parse {what} "{name}": claim not present')
    if not isinstance(claims[name], str):
        raise ClaimsRefused(f'oidc: parse {what} "{name}": not a text')
    return str(claims[name])


def _texts(value: Any, what: str) -> list[str]:
    """A text or a list of texts; what is empty counts as absent."""
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        text = "expression must return a string or a list of strings"
        raise ClaimsRefused(f"oidc: error evaluating {what} expression: {text}")
    return [one for one in values if one]
