"""What reviews refuse, and what they answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from apiserver.registry import reviews
from apiserver.registry.resource import Resource
from apiserver.registry.store import Registry
from apiserver.request import LOOPBACK, RequestContext, RequestInfo
from kubarium.apimachinery import errors
from kubarium.component_base.clock import FakeClock

CONTEXT = RequestContext(RequestInfo("/", "create", namespace="default"), LOOPBACK, FakeClock(), {})
ROW = cast(Resource, None)
POD_RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
REGISTRY = cast(
    Registry, SimpleNamespace(reviewer=SimpleNamespace(rules=lambda user, namespace: ([POD_RULE], [], False)))
)
EITHER = (
    "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be "
    "specified"
)
NOBODY = 'spec.user: Invalid value: "": at least one of user or group must be specified'


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [EITHER, NOBODY]),
        ({"user": "u", "resourceAttributes": {"namespace": "other"}},
         ['spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace']),
        ({"user": "u", "nonResourceAttributes": {"path": "/x", "verb": "get"}},
         ['spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: '
          "disallowed on this kind of request"]),
    ],
)  # fmt: skip
async def test_a_local_review_is_about_its_namespace(spec: Any, expected: list[str]) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await reviews.review_local_access(REGISTRY, ROW, CONTEXT, {"spec": spec})
    status = refused.value.status()
    causes = status["details"]["causes"]
    assert [f"{cause['field']}: {cause['message']}" for cause in causes] == expected
    # as upstream, which asks the decoded review for its kind
    assert status["message"].startswith('.authorization.k8s.io "" is invalid: ')


async def test_rules_are_told_without_the_question() -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "a"},
    }
    answer = await reviews.review_own_rules(REGISTRY, ROW, CONTEXT, review)
    assert answer["spec"] == {}
    assert answer["status"] == {"resourceRules": [POD_RULE], "nonResourceRules": [], "incomplete": False}
