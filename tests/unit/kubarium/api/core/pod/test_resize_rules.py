"""Which resizes are refused, and how."""

from __future__ import annotations

import pytest

from kubarium.api.core.pod import defaults
from kubarium.api.core.pod.resize_rules import validate_resize

QOS = "Pod QOS Class may not change as a result of resizing"
GUARANTEED = {"limits": {"cpu": "20m", "memory": "35Mi"}, "requests": {"cpu": "20m", "memory": "35Mi"}}
REQUESTED = {"requests": {"cpu": "20m", "memory": "35Mi"}}


def pod(*resources: dict, names: str = "ab", init: dict | None = None) -> dict:
    containers = [
        {"name": name, "image": "i", "resources": wanted}
        for name, wanted in zip(names, resources, strict=False)
    ]
    spec: dict = {"containers": containers}
    if init is not None:
        spec["initContainers"] = [{"name": "init", "image": "i", "resources": init}]
    made = {"metadata": {"name": "p", "namespace": "n", "uid": "1"}, "spec": spec}
    defaults.fill(made)
    return made


def told(new: dict, old: dict) -> list[str]:
    return [str(error) for error in validate_resize(new, old)]


@pytest.mark.parametrize(
    ("before", "after", "messages"),
    [
        ({}, {"requests": {"cpu": "20m"}}, [QOS]),
        (GUARANTEED, REQUESTED, [QOS, "resource limits cannot be removed"]),
        (
            {"requests": {"memory": "35Mi"}},
            {"requests": {}},
            [QOS, "resource requests cannot be removed"],
        ),
        (
            {"requests": {"cpu": "20m", "ephemeral-storage": "1"}},
            {"requests": {"cpu": "20m", "ephemeral-storage": "3"}},
            ["only cpu and memory resources are mutable"],
        ),
        (REQUESTED, {"requests": {"cpu": "25m", "memory": "30Mi"}, "limits": {"memory": "50Mi"}}, []),
        (REQUESTED, {"requests": {"cpu": "0.02", "memory": "35Mi"}}, []),
    ],
)
def test_resources(before: dict, after: dict, messages: list[str]) -> None:
    found = told(pod(after), pod(before))
    assert len(found) == len(messages)
    assert all(message in error for message, error in zip(messages, found, strict=True))


def test_containers_keep_their_places() -> None:
    texts = told(pod(REQUESTED, REQUESTED, names="ba"), pod(REQUESTED, REQUESTED))
    why = "Forbidden: containers may not be renamed or reordered on resize"
    assert texts == [f"spec.containers[{index}].name: {why}" for index in (0, 1)]
    assert "added or removed" in told(pod(REQUESTED, REQUESTED), pod(REQUESTED))[0]


def test_what_only_runs_at_the_start_stays() -> None:
    old, new = (
        pod(REQUESTED, init=REQUESTED),
        pod(REQUESTED, init={"requests": {"cpu": "1", "memory": "35Mi"}}),
    )
    assert ["non-sidecar" in text for text in told(new, old)] == [True]
    for one in (old, new):
        one["spec"]["initContainers"][0]["restartPolicy"] = "Always"
    assert told(new, old) == []


def test_static_pods_are_not_resized() -> None:
    static = pod(REQUESTED)
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert "static pods cannot be resized" in told(static, static)[0]
