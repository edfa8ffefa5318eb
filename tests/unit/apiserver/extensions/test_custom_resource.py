"""What follows from a definition: the rows that serve its objects."""

from typing import Any

from apiserver.extensions.custom_resource import rows_of
from kubarium.apimachinery.apply import merge
from kubarium.apimachinery.schema import catalog
from kubarium.apimachinery.schema.structural import Structural

TEMPLATE = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def schema_of(template: dict[str, Any]) -> Structural:
    spec = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"template": template},
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "toys", "kind": "Toy"}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    return rows_of({"metadata": {"name": "toys.example.com"}, "spec": spec}, catalog.load())[0].custom.schema


def test_applied_embedded_objects_may_have_the_metadata_of_every_object() -> None:
    toy = {
        "metadata": {"name": "one", "other": 1},
        "spec": {
            "any": 1,
            "template": {"kind": "Sub", "version": 1, "metadata": {"namespace": "here", "other": 1}},
        },
    }
    assert merge.undeclared(toy, schema_of(TEMPLATE)) == [
        ".metadata.other: field not declared in schema",
        ".spec.template.version: field not declared in schema",
        ".spec.template.metadata.other: field not declared in schema",
    ]
    open_template = {**TEMPLATE, "x-kubernetes-preserve-unknown-fields": True}
    assert merge.undeclared(toy, schema_of(open_template)) == [
        ".metadata.other: field not declared in schema",
        ".spec.template.metadata.other: field not declared in schema",
    ]
