"""What an AuthenticationConfiguration may say, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver import configuration as files
from apiserver.authentication import configuration
from apiserver.authentication.claims import ClaimsRefused
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from apiserver.request import User
from kubarium.apimachinery.object import copy

ISSUER = {
    "issuer": {"url": "https://issuer.example", "audiences": ["us"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": "x:"}},
}


def changed(**parts: Any) -> dict[str, Any]:
    document: dict[str, Any] = copy(ISSUER)
    for path, value in parts.items():
        *way, last = path.split("__")
        place = document
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value
    return document


def user(claims: dict[str, Any], **parts: Any) -> User:
    ((trust,), _) = configuration.read({"jwt": [changed(**parts)]})
    return trust.mappings.user_of(claims)


def test_claims_become_a_user() -> None:
    found = user(
        {"sub": "ann", "roles": "admin", "team": ["a", ""], "id": "7"},
        claimMappings__groups={"claim": "roles", "prefix": "g:"},
        claimMappings__uid={"claim": "id"},
        claimMappings__extra=[{"key": "example.com/team", "valueExpression": "claims.team"}],
    )
    assert found == User("x:ann", "7", ("g:admin",), {"example.com/team": ("a",)})


def test_expressions_make_a_user() -> None:
    found = user(
        {"sub": "ann", "org": {"name": "acme"}, "roles": "a,b"},
        claimMappings__username={"expression": "claims.sub + '@' + claims.org.name"},
        claimMappings__groups={"expression": "claims.roles.split(',') + claims.?more.orValue([])"},
    )
    assert (found.name, found.groups) == ("ann@acme", ("a", "b"))


@pytest.mark.parametrize(
    ("claims", "parts", "message"),
    [
        ({}, {}, 'oidc: parse username claims "sub": claim not present'),
        (
            {"email": "a@b", "email_verified": False},
            {"claimMappings__username": {"claim": "email", "prefix": ""}},
            "oidc: email not verified",
        ),
        (
            {"sub": "a"},
            {"claimValidationRules": [{"claim": "hd", "requiredValue": "acme"}]},
            "oidc: required claim hd not present in ID token",
        ),
        (
            {"sub": "a", "hd": "else"},
            {"claimValidationRules": [{"claim": "hd", "requiredValue": "acme"}]},
            "oidc: required claim hd value does not match. Got = else, want = acme",
        ),
        (
            {"sub": "a", "exp": 9, "nbf": 1},
            {"claimValidationRules": [{"expression": "claims.exp - claims.nbf < 5", "message": "too long"}]},
            "oidc: error evaluating claim validation expression: validation expression "
            "'claims.exp - claims.nbf < 5' failed: too long",
        ),
        (
            {"sub": "a"},
            {"userValidationRules": [{"expression": "user.username != 'x:a'", "message": "not you"}]},
            "oidc: error evaluating user info validation rule: validation expression "
            "'user.username != 'x:a'' failed: not you",
        ),
    ],
)
def test_claims_that_make_nobody(claims: dict[str, Any], parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ClaimsRefused) as refused:
        user(claims, **parts)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"issuer__url": ""}, "jwt[0].issuer.url: Required value"),
        (
            {"issuer__url": "http://a"},
            'jwt[0].issuer.url: Invalid value: "http://a": URL scheme must be https',
        ),
        (
            {"issuer__url": "https://us"},
            'jwt[0].issuer.url: Invalid value: "https://us": URL must not overlap with disallowed issuers: [https://us]',
        ),
        (
            {"issuer__discoveryURL": "https://issuer.example/"},
            'jwt[0].issuer.discoveryURL: Invalid value: "https://issuer.example/": '
            "discoveryURL must be different from URL",
        ),
        (
            {"issuer__audiences": []},
            "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required",
        ),
        (
            {"issuer__audiences": ["a", "b"]},
            'jwt[0].issuer.audienceMatchPolicy: Invalid value: "": '
            "audienceMatchPolicy must be MatchAny for multiple audiences",
        ),
        (
            {"claimMappings__username": {}},
            "jwt[0].claimMappings.username: Required value: claim or expression is required",
        ),
        (
            {"claimMappings__username": {"claim": "sub"}},
            "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. "
            "It can be set to an empty string to disable prefixing",
        ),
        (
            {"claimMappings__extra": [{"key": "a.k8s.io/x", "valueExpression": "'a'"}]},
            'jwt[0].claimMappings.extra[0].key: Invalid value: "a.k8s.io/x": '
            "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use",
        ),
    ],
)
def test_what_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configuration.read({"jwt": [changed(**parts)]}, ["https://us"])
    assert str(refused.value) == message


def test_an_email_as_a_name_must_be_verified() -> None:
    named = {"claimMappings__username": {"expression": "claims.email"}}
    with pytest.raises(ConfigurationError, match=r"claims\.email_verified must be used"):
        configuration.read({"jwt": [changed(**named)]})
    rule = {"claimValidationRules": [{"expression": "claims.?email_verified.orValue(true)"}]}
    configuration.read({"jwt": [changed(**named, **rule)]})


def test_the_same_issuer_twice_and_unknown_fields() -> None:
    with pytest.raises(
        ConfigurationError, match=r'jwt\[1\].issuer.url: Duplicate value: "https://issuer.example"'
    ):
        configuration.read({"jwt": [ISSUER, ISSUER]})
    text = "{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: [{issuer: {name: a}}]}"
    with pytest.raises(
        ConfigurationError, match=r'strict decoding error: unknown field "jwt\[0\].issuer.name"'
    ):
        files.decode(text, configuration.KIND, configuration.VERSIONS, configuration.SHAPE)


def test_flags_of_one_issuer() -> None:
    trust = configuration.of_flags(
        Options(
            oidc_issuer_url="https://i",
            oidc_client_id="us",
            oidc_groups_claim="g",
            oidc_required_claim={"a": "b"},
        )
    )
    assert trust is not None
    assert trust.mappings.user_of({"sub": "ann", "g": ["x"], "a": "b"}) == User("https://i#ann", "", ("x",))
    with pytest.raises(
        ConfigurationError, match="oidc-issuer-url and oidc-client-id must be specified together"
    ):
        configuration.of_flags(Options(oidc_issuer_url="https://i"))
    plain = configuration.of_flags(
        Options(oidc_issuer_url="https://i", oidc_client_id="us", oidc_username_prefix="-")
    )
    assert plain is not None
    assert plain.mappings.user_of({"sub": "ann"}).name == "ann"
