"""What `apply` sends, and what `set`, `label` and `annotate` make of their words."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.patch import merge_patch, strategic_merge_patch
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.kubectl import last_applied, three_way
from kubarium.kubectl.commands import change, set_env
from kubarium.kubectl.commands.apply import taken_over
from kubarium.kubectl.commands.set import image_patch
from kubarium.kubectl.session import CommandFailed

CONTAINER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
    },
}
SCHEMA = from_openapi(
    {
        "type": "object",
        "properties": {
            "containers": {
                "type": "array",
                "items": CONTAINER,
                "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-patch-merge-key": "name",
            },
            "finalizers": {
                "type": "array",
                "items": {"type": "string"},
                "x-kubernetes-patch-strategy": "merge",
            },
            "strategy": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "rollingUpdate": {"type": "object"}},
                "x-kubernetes-patch-strategy": "retainKeys",
            },
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "replicas": {"type": "integer"},
        },
    }
)


@pytest.mark.parametrize(
    ("original", "modified", "current", "expected"),
    [
        ({"replicas": 1}, {"replicas": 1}, {"replicas": 1}, {}),
        ({}, {"replicas": 2}, {"replicas": 1, "other": 1}, {"replicas": 2}),
        ({"replicas": 1}, {}, {"replicas": 1}, {"replicas": None}),
        (
            {"labels": {"a": "1", "b": "1"}},
            {"labels": {"a": "2"}},
            {"labels": {"a": "1", "b": "1", "c": "1"}},
            {"labels": {"a": "2", "b": None}},
        ),
        (
            {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}]},
            {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}, {"name": "sidecar"}]},
            {
                "containers": [
                    {"args": None, "image": "2", "name": "a"},
                    {"$patch": "delete", "name": "b"},
                ],
                "$setElementOrder/containers": [{"name": "a"}],
            },
        ),
        (
            {"finalizers": ["a", "b"]},
            {"finalizers": ["b", "c"]},
            {"finalizers": ["a", "b", "x"]},
            {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
        ),
        (
            {},
            {"strategy": {"type": "Recreate"}},
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"x": 1}}},
            {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}},
        ),
    ],
)
def test_what_is_sent(original: Any, modified: Any, current: Any, expected: Any) -> None:
    found = three_way.patch(original, modified, current, SCHEMA)
    assert found == expected
    after = strategic_merge_patch.apply(current, found, SCHEMA)
    assert three_way.patch(modified, modified, after, SCHEMA) == {}


def test_lists_of_kinds_that_are_not_built_in_are_taken_whole() -> None:
    found = three_way.patch({"l": [1], "gone": 1}, {"l": [2]}, {"l": [1], "gone": 1, "own": 1})
    assert found == {"l": [2], "gone": None}
    assert merge_patch.apply({"l": [1], "gone": 1, "own": 1}, found) == {"l": [2], "own": 1}


def test_what_was_applied_is_remembered() -> None:
    obj = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "<1>"}}
    made = last_applied.remembering(obj)
    text = made["metadata"]["annotations"][last_applied.ANNOTATION]
    assert text == (
        '{"data":{"x":"\\u003c1\\u003e"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a"}}\n'
    )
    assert last_applied.remembered(made) == last_applied.without(obj)
    assert last_applied.written(made) == text
    assert "annotations" not in obj["metadata"]


def test_the_server_takes_over_what_the_client_applied() -> None:
    annotation: Any = {"f:kubectl.kubernetes.io/last-applied-configuration": {}, "f:own": {}}
    entries = [
        {
            "manager": last_applied.MANAGER,
            "operation": "Update",
            "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:annotations": annotation}},
        },
        {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}},
        {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {}},
    ]
    owner, other = taken_over(entries, "kubectl")
    assert (owner["manager"], owner["operation"]) == ("kubectl", "Apply")
    assert owner["fieldsV1"] == {
        "f:data": {"f:a": {}, "f:b": {}},
        "f:metadata": {"f:annotations": {"f:own": {}}},
    }
    assert other == entries[2]
    assert taken_over(entries[1:], "kubectl") == entries[1:]


@pytest.mark.parametrize(
    ("present", "words", "done"),
    [
        ({}, ["a=1"], "labeled"),
        ({"a": "1"}, ["a=1"], "not labeled"),
        ({"a": "1"}, ["a-"], "unlabeled"),
        ({}, ["a-"], "not labeled"),
        ({"a": "1"}, ["a-", "b=1"], "labeled"),
    ],
)
def test_what_was_done_to_labels(present: dict[str, str], words: list[str], done: str) -> None:
    assert change.word_for(present, change.read_changes(words), change.LABELS) == done


def template(kind: str, **spec: Any) -> Any:
    pods = {
        "containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}],
        **spec,
    }
    return {"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {"spec": pods}}}


def test_images_of_the_containers_that_are_named() -> None:
    obj = template("Deployment", initContainers=[{"name": "i"}])
    assert image_patch(obj, {"b": "2"}) == {
        "spec": {"template": {"spec": {"containers": [{"name": "b", "image": "2"}]}}}
    }
    everything = image_patch(obj, {"*": "3"})["spec"]["template"]["spec"]
    assert [each["name"] for each in everything["initContainers"]] == ["i"]
    with pytest.raises(CommandFailed, match='unable to find container named "c"'):
        image_patch(obj, {"c": "1"})
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}}
    assert image_patch(pod, {"a": "2"}) == {"spec": {"containers": [{"name": "a", "image": "2"}]}}


def test_variables_are_set_and_taken_away() -> None:
    sets, removals = set_env.read_variables(["A=b=c", "X-", "Y-"])
    found = set_env.env_patch(template("Deployment"), "*", sets, removals)["spec"]["template"]["spec"]
    assert found["containers"] == [
        {"name": "a", "env": [{"name": "A", "value": "b=c"}, {"$patch": "delete", "name": "X"}]},
        {"name": "b", "env": [{"name": "A", "value": "b=c"}]},
    ]
    of_secret = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert set_env.line(of_secret) == "# P from secret s, key k"
    assert set_env.line({"name": "A", "value": "1"}) == "A=1"
