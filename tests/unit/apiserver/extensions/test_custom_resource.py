"""What follows from a definition: the rows that serve its objects."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.extensions.custom_resource import rows_of
from apiserver.registry.resource import Resource
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


def rows(*versions: dict[str, Any], generation: int = 1) -> dict[str, Resource]:
    spec = {"group": "example.com", "scope": "Cluster", "names": {"plural": "toys", "kind": "Toy"}}
    definition = {
        "metadata": {"name": "toys.example.com", "generation": generation},
        "spec": {**spec, "versions": list(versions)},
    }
    return {row.version: row for row in rows_of(definition, catalog.load())}


def version(name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}
    return {
        "name": name,
        "served": True,
        "storage": name == "v1",
        "schema": {"openAPIV3Schema": schema},
        **more,
    }


def test_what_is_read_has_the_defaults_of_the_version_in_which_it_is_kept() -> None:
    text = {"type": "string"}
    found = rows(
        version("v1", {"a": {**text, "default": "A"}}),
        version("v2", {"a": text, "b": {**text, "default": "B"}}),
    )
    kept = {"apiVersion": "example.com/v1", "kind": "Toy", "spec": {"b": "lost"}}
    read = found["v2"].from_storage
    assert read is not None
    assert read(kept) == {"apiVersion": "example.com/v2", "kind": "Toy", "spec": {"a": "A"}}
    assert kept["spec"] == {"b": "lost"}


def test_an_object_is_read_by_the_schema_of_today() -> None:
    plain = version("v1", {"a": {"type": "string"}})
    assert rows(plain)["v1"].from_storage is None
    read = rows(plain, generation=2)["v1"].from_storage
    assert read is not None
    assert read({"apiVersion": "example.com/v1", "spec": {"old": 1}})["spec"] == {}


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        ({"type": "integer"}, 3, 3),
        ({"type": "integer"}, "3", None),
        ({"type": "integer"}, 3.7, 3),
        ({"type": "boolean"}, 3, None),
        ({"type": "string"}, 3, "3"),
        ({"type": "string"}, {"b": [1]}, '{"b":[1]}'),
        ({"type": "date"}, "2026-01-01T00:00:00Z", "60s"),
        ({"type": "date"}, None, None),
        ({"type": "date"}, "", "<unknown>"),
        ({"type": "date"}, "soon", "<invalid>"),
    ],
)
def test_cells_are_of_the_type_of_their_column(column: dict[str, Any], value: Any, cell: Any) -> None:
    columns = [{"name": "A", "jsonPath": ".spec.a", **column}]
    (_, made) = rows(version("v1", {}, additionalPrinterColumns=columns))["v1"].strategy.columns
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    obj = {"spec": {"a": value}}
    assert (made.cell(obj, now) if made.needs_now else made.cell(obj)) == cell
    assert made.description == "Custom resource definition column (in JSONPath format): .spec.a"
