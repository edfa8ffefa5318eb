"""What a pod asks for."""

from __future__ import annotations

import pytest

from kubarium.api.core.pod import affinity, resources
from kubarium.apimachinery.object import Object


def container(cpu: str = "", limit: str = "", **more: str) -> Object:
    amounts: Object = {}
    if cpu:
        amounts["requests"] = {"cpu": cpu}
    if limit:
        amounts["limits"] = {"cpu": limit, "memory": "1Gi"}
        amounts["requests"] = {"cpu": cpu or limit, "memory": "1Gi"}
    return {"name": "c", "resources": amounts, **more}


def pod(*containers: Object, **spec: object) -> Object:
    return {
        "metadata": {"name": "p", "labels": {"app": "web"}},
        "spec": {"containers": list(containers), **spec},
    }


@pytest.mark.parametrize(
    ("asked", "cpu"),
    [
        (pod(container("100m"), container("1")), 1100),
        (pod(container("100m"), initContainers=[container("500m")]), 500),
        (pod(container("400m"), initContainers=[container("200m", restartPolicy="Always")]), 600),
        (
            # the sidecar runs beside the init container that follows it
            pod(
                container("100m"),
                initContainers=[container("200m", restartPolicy="Always"), container("500m")],
            ),
            700,
        ),
        (pod(container("100m"), overhead={"cpu": "50m"}), 150),
        (pod(container("100m"), resources={"requests": {"cpu": "2"}}), 2000),
        (pod(container()), 0),
    ],
)
def test_requests_are_the_most_that_runs_at_once(asked: Object, cpu: int) -> None:
    assert resources.requests_of(asked).get("cpu", 0) == cpu


def test_a_resize_under_way_counts_with_the_larger_amount() -> None:
    asked = pod(container("100m"))
    asked["status"] = {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "300m"}}]}
    assert resources.requests_of(asked) == {"cpu": 300}


def test_quality_of_service() -> None:
    assert resources.qos_class(pod(container())) == "BestEffort"
    assert resources.qos_class(pod(container("100m"))) == "Burstable"
    assert resources.qos_class(pod(container(limit="1"))) == "Guaranteed"
    assert resources.qos_class(pod(container(limit="1"), container())) == "Burstable"


@pytest.mark.parametrize(
    ("toleration", "taint", "covered"),
    [
        ({"operator": "Exists"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, True),
        ({"key": "a", "operator": "Exists"}, {"key": "a", "effect": "NoExecute"}, True),
        ({"key": "a", "value": "1"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "2"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, False),
        ({"key": "b", "operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}, False),
        (
            {"key": "a", "operator": "Exists", "effect": "NoExecute"},
            {"key": "a", "effect": "NoSchedule"},
            False,
        ),
        (
            {"key": "a", "operator": "Gt", "value": "5"},
            {"key": "a", "value": "7", "effect": "NoSchedule"},
            True,
        ),
    ],
)
def test_tolerations(toleration: Object, taint: Object, covered: bool) -> None:
    assert affinity.tolerates(toleration, taint) is covered


def test_label_keys_become_requirements() -> None:
    term = {"topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["app", "absent"]}
    asked = pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    affinity.merge_label_keys(asked)
    assert term["labelSelector"] == {
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]
    }
