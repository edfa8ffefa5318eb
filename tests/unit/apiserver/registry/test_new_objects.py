"""What new objects say before any controller has looked at them."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry import autoscaling, policy_and_rbac
from apiserver.registry.batch import JOB
from apiserver.registry.strategy import Strategy
from apiserver.request import ANONYMOUS, RequestContext, parse_request
from kubarium.component_base.clock import RealClock


def context() -> RequestContext:
    return RequestContext(info=parse_request("POST", "/apis", {}), user=ANONYMOUS, clock=RealClock())


@pytest.mark.parametrize(
    ("strategy", "status"),
    [
        (
            policy_and_rbac.DISRUPTION_BUDGET,
            {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
        ),
        (autoscaling.STRATEGY, {"desiredReplicas": 0, "currentMetrics": None}),
    ],
)
def test_numbers_that_typed_clients_never_leave_out(strategy: Strategy, status: Any) -> None:
    made: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {}}
    strategy.prepare_for_create(context(), made)
    assert made["status"] == status


def test_a_job_without_labels_has_those_that_its_pods_get() -> None:
    made: dict[str, Any] = {"metadata": {"name": "a", "uid": "u"}, "spec": {"template": {"spec": {}}}}
    JOB.prepare_for_create(context(), made)
    assert made["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "a"
    assert made["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"]
