"""What a ResourceQuota may say."""

from typing import Any

import pytest

from kubarium.api.core import resource_quota


def quota(*scopes: str, **hard: str) -> dict[str, Any]:
    limits = {name.replace("_", "."): amount for name, amount in hard.items()}
    return {"metadata": {"name": "q"}, "spec": {"hard": limits, "scopes": list(scopes)}}


@pytest.mark.parametrize(
    ("obj", "problem"),
    [
        (quota(hpods="1"), "must be a standard resource for quota"),
        (quota(pods="1.5"), "must be an integer"),
        (quota(cpu="-1"), "must be greater than or equal to 0"),
        (quota("Foo", pods="1"), "unsupported scope"),
        (quota("BestEffort", cpu="1"), "unsupported scope applied to resource"),
        (quota("Terminating", "NotTerminating", pods="1"), "conflicting scopes"),
    ],
)
def test_nonsense_is_refused(obj: dict[str, Any], problem: str) -> None:
    assert any(problem in error.body for error in resource_quota.validate(obj))


def test_sense_is_not() -> None:
    assert not resource_quota.validate(quota("NotTerminating", "NotBestEffort", pods="5", limits_cpu="1"))
    assert not resource_quota.validate({"spec": {"hard": {"count/jobs.batch": "1", "requests.a.b/gpu": "2"}}})


def test_scopes_stay() -> None:
    assert resource_quota.validate_update(quota("BestEffort", pods="1"), quota(pods="1"))
