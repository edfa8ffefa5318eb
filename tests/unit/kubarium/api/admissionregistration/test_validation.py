"""What a webhook's configuration may not say, in upstream's words and order."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.admissionregistration import validation

FORM = "; desired format: https://host[/path]"


def problems(**webhook: Any) -> list[str]:
    given = {
        "metadata": {"name": "w"},
        "webhooks": [{"name": "a.example.com", "sideEffects": "None", **webhook}],
    }
    return [str(error).removeprefix("webhooks[0].") for error in validation.validate_webhooks(given)]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://@host/path", 'Invalid value: "": user information is not permitted in the URL'),
        (":x", f'Required value: url must be a valid URL: parse ":x": missing protocol scheme{FORM}'),
        ("https:///path", f'Invalid value: "": host must be specified{FORM}'),
    ],
)
def test_addresses(url: str, problem: str) -> None:
    found = problems(admissionReviewVersions=["v1"], clientConfig={"url": url})
    assert found == [f"clientConfig.url: {problem}"]


def test_the_address_is_told_before_the_conditions_and_the_versions() -> None:
    assert [found.partition(":")[0] for found in problems(matchConditions=[{"name": "a"}])] == [
        "clientConfig", "matchConditions[0].expression", "admissionReviewVersions",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"name": "a", "parameterNotFoundAction": "Deny"}, []),
        ({"selector": {}, "parameterNotFoundAction": "Allow"}, []),
        (
            {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"},
            [
                "name: Forbidden: name and selector are mutually exclusive",
                "selector: Forbidden: name and selector are mutually exclusive",
            ],
        ),
        (
            {"name": "a/b", "parameterNotFoundAction": "Ask"},
            [
                "name: Invalid value: \"a/b\": may not contain '/'",
                'parameterNotFoundAction: Unsupported value: "Ask": supported values: "Deny", "Allow"',
            ],
        ),
        ({"name": "a"}, ["parameterNotFoundAction: Required value"]),
    ],
)
def test_what_a_binding_takes_its_parameters_from(reference: dict[str, Any], expected: list[str]) -> None:
    binding = {"spec": {"policyName": "p", "paramRef": reference}}
    found = [str(error) for error in validation.validate_mutating_binding(binding)]
    assert [text.removeprefix("spec.paramRef.") for text in found] == expected


def test_a_binding_names_a_policy_that_can_be() -> None:
    (found,) = validation.validate_mutating_binding({"spec": {"policyName": "No Policy"}})
    assert str(found).startswith(
        'spec.policyName: Invalid value: "No Policy": a lowercase RFC 1123 subdomain'
    )
