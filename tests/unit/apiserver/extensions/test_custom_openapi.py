"""Schemas of custom resources in OpenAPI documents."""

from __future__ import annotations

from typing import Any

import pytest
from orjson import loads

from apiserver.endpoints.openapi import OpenAPI
from apiserver.extensions.custom_openapi import definitions
from apiserver.extensions.custom_resource import rows_of
from apiserver.registry.resource import Catalog
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema import catalog

KIND = GroupVersionKind("example.com", "v1", "Toy")
STRING = {"type": "string"}
EITHER = [{"type": "integer"}, {"type": "string"}]
EITHER_KEY = "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
PRESERVE = "x-kubernetes-preserve-unknown-fields"


def published(field: dict[str, Any], *, v2: bool) -> Any:
    document = {"type": "object", "properties": {"a": field}}
    return definitions(KIND, "ToyList", "toys", document, v2=v2)["com.example.v1.Toy"]["properties"]["a"]


@pytest.mark.parametrize(
    "field, v3, v2",
    [
        # what says nothing is left out
        ({"type": "string", "description": "", "nullable": False, "required": [], "enum": None}, STRING, STRING),
        ({"type": "object", "properties": {}}, {"type": "object"}, {"type": "object"}),
        ({"type": "string", "minLength": 0}, {"type": "string", "minLength": 0}, {"type": "string", "minLength": 0}),
        ({"type": "number", "minimum": 1.0, "default": 2.0}, {"type": "number", "minimum": 1, "default": 2},
         {"type": "number", "minimum": 1}),
        ({"type": "integer", "maximum": 2**63 - 1}, {"type": "integer", "maximum": 9223372036854776000},
         {"type": "integer", "maximum": 9223372036854776000}),
        # integers or strings
        ({EITHER_KEY: True}, {EITHER_KEY: True, "anyOf": EITHER}, {EITHER_KEY: True}),
        ({EITHER_KEY: True, "anyOf": [{"minimum": 1}, {"maxLength": 3}]},
         {EITHER_KEY: True, "anyOf": [{"minimum": 1}, {"maxLength": 3}], "allOf": [{"anyOf": EITHER}]},
         {EITHER_KEY: True}),
        ({EITHER_KEY: True, "allOf": [{"anyOf": EITHER}]}, {EITHER_KEY: True, "allOf": [{"anyOf": EITHER}]},
         {EITHER_KEY: True}),
        # version 2 knows no null
        ({"type": "object", "required": ["b", "c"],
          "properties": {"b": {"type": "string", "nullable": True}, "c": STRING}},
         {"type": "object", "required": ["b", "c"],
          "properties": {"b": {"type": "string", "nullable": True}, "c": STRING}},
         {"type": "object", "required": ["c"], "properties": {"b": {}, "c": STRING}}),
        ({"type": "object", "required": ["b"], "additionalProperties": {"type": "string", "nullable": True}},
         {"type": "object", "required": ["b"], "additionalProperties": {"type": "string", "nullable": True}},
         {"type": "object", "additionalProperties": {}}),
        # rules
        ({"type": "string", "x-kubernetes-validations": [{"rule": "true", "message": ""}]},
         {"type": "string", "x-kubernetes-validations": [{"rule": "true"}]},
         {"type": "string", "x-kubernetes-validations": [{"rule": "true"}]}),
    ],
)  # fmt: skip
def test_schemas_say_what_upstream_says(field: Any, v3: Any, v2: Any) -> None:
    assert published(field, v2=False) == v3
    assert published(field, v2=True) == v2


def test_embedded_objects_have_what_every_object_has() -> None:
    shown = published(
        {"type": "object", EMBEDDED: True, "properties": {"spec": {"type": "object"}}}, v2=False
    )
    assert set(shown["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert shown["required"] == ["kind", "apiVersion"]
    assert shown["properties"]["kind"]["description"].startswith(
        "kind is a string value representing the type"
    )
    assert published({"type": "object", EMBEDDED: True, PRESERVE: True}, v2=True) == {
        EMBEDDED: True,
        PRESERVE: True,
    }


def test_lists_are_named_by_their_own_kind_and_fields_to_select_by_are_shown() -> None:
    found = definitions(KIND, "ManyToys", "toys", {"type": "object"}, [".spec.color"])
    assert list(found) == ["com.example.v1.Toy", "com.example.v1.ManyToys"]
    fields = [{"fieldPath": "spec.color"}]
    assert [one["x-kubernetes-selectable-fields"] for one in found.values()] == [fields, fields]


def test_paths_of_custom_resources() -> None:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
        "subresources": {"scale": {"specReplicasPath": ".spec.r", "statusReplicasPath": ".status.r"}},
    }
    names = {"plural": "toys", "kind": "Toy", "listKind": "ManyToys"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    rows = Catalog()
    rows.add(rows_of({"metadata": {"name": "toys.example.com"}, "spec": spec}, catalog.load()))
    api = OpenAPI(rows, catalog.load())
    document = loads(api.answer("v3/apis/example.com/v1", "", "").body)
    assert document["info"]["title"] == "Kubernetes CRD Swagger"
    base = "/apis/example.com/v1/namespaces/{namespace}/toys"
    assert set(document["paths"]) == {
        "/apis/example.com/v1/toys",
        base,
        base + "/{name}",
        base + "/{name}/scale",
    }
    everywhere = document["paths"]["/apis/example.com/v1/toys"]
    assert "parameters" not in everywhere["get"]  # of the path, because all operations have them
    assert [one["name"] for one in everywhere["parameters"]][:3] == [
        "allowWatchBookmarks",
        "continue",
        "fieldSelector",
    ]
    content = everywhere["get"]["responses"]["200"]["content"]
    assert list(content) == ["application/json", "application/yaml"]
    assert content["application/json"]["schema"]["$ref"].endswith("com.example.v1.ManyToys")
    assert list(document["paths"][base + "/{name}"]["patch"]["responses"]) == ["401", "200"]
    scale = document["paths"][base + "/{name}/scale"]["get"]["x-kubernetes-group-version-kind"]
    assert scale == {"group": "example.com", "version": "v1", "kind": "Toy"}
    v2 = loads(api.answer("v2", "", "").body)
    assert v2["paths"][base]["get"]["consumes"] == ["application/json", "application/yaml"]
