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
