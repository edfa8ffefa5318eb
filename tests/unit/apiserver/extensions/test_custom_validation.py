"""What is wrong with a custom resource besides what its schema says."""

from __future__ import annotations

from apiserver.extensions.custom_resource import rows_of
from apiserver.extensions.custom_validation import finalizer_warnings
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema import catalog

SIZE = {"type": "integer", "maximum": 10}
COLOR = {"type": "string", "enum": ["red"]}
RULE = {"rule": "self.size < 5", "message": "too big", "fieldPath": ".size"}


def errors_of(spec: Object) -> list[str]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": SIZE, "color": COLOR, "replicas": {"type": "integer"}},
                "x-kubernetes-validations": [RULE],
            }
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        },
    }
    definition = {
        "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "toys", "kind": "Toy"},
            "versions": [version],
        },
    }
    strategy = rows_of(definition, catalog.load())[0].strategy
    return [str(error) for error in strategy.validate({"metadata": {"name": "a"}, "spec": spec})]


def test_rules_are_asked_unless_the_object_is_too_far_from_its_schema() -> None:
    assert errors_of({"size": 7}) == ["spec.size: Invalid value: too big"]
    assert errors_of({"size": 20}) == [
        "spec.size: Invalid value: 20: spec.size in body should be less than or equal to 10",
        "spec.size: Invalid value: too big",
    ]
    assert errors_of({"size": 7, "color": "blue"}) == [
        'spec.color: Unsupported value: "blue": supported values: "red"',
        "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
        "correct the existing errors to complete validation",
    ]


def test_replicas_are_numbers_that_a_scale_can_show() -> None:
    assert errors_of({"size": 1, "replicas": -3}) == [
        ".spec.replicas: Invalid value: -3: should be a non-negative integer"
    ]
    assert errors_of({"size": 1, "replicas": 2**31}) == [
        ".spec.replicas: Invalid value: 2147483648: should be less than or equal to 2147483647"
    ]


def test_a_scale_finds_no_number_where_there_is_no_object() -> None:
    found = errors_of("text")  # type: ignore[arg-type]
    assert (
        ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: text is of the type string, expected "
        "map[string]interface{}"
    ) in found


def test_finalizers_should_have_a_domain() -> None:
    old = {"metadata": {"finalizers": ["known"]}}
    new = {"metadata": {"finalizers": ["known", "mine", "a.b", "a.b/c", "orphan"]}}
    assert finalizer_warnings(new, old) == [
        'metadata.finalizers: "a.b": prefer a domain-qualified finalizer name including a path (/) to avoid '
        "accidental conflicts with other finalizer writers",
        'metadata.finalizers: "mine": prefer a domain-qualified finalizer name to avoid accidental conflicts with '
        "other finalizer writers",
    ]
