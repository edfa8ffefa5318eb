"""How OpenAPI documents show the schema of a custom resource."""

from typing import Any, cast

from apiserver.extensions.custom_resource import CustomResource
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema.catalog import Catalog
from kubarium.apimachinery.schema.structural import ANY

TOY = GroupVersionKind("example.com", "v1", "Toy")
OURS = {"apiVersion", "kind", "metadata"}
TEXT = {"type": "string"}


def published(schema: dict[str, Any], *, v2: bool = True) -> dict[str, Any]:
    custom = CustomResource(TOY, ANY, ANY, cast("Catalog", None), schema, "ToyList", "toys")
    found: dict[str, Any] = custom.definitions(v2=v2)["com.example.v1.Toy"]
    return found


def test_a_plain_schema_stays_as_it_is() -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": TEXT}}}}
    for v2 in (True, False):
        found = published(schema, v2=v2)
        assert set(found["properties"]) == {*OURS, "spec"}
        assert found["properties"]["spec"] == schema["properties"]["spec"]  # type: ignore[index]


def test_version_2_names_nothing_where_anything_goes() -> None:
    found = published(
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": TEXT}}
    )
    assert {key for key in found if key != "x-kubernetes-group-version-kind"} == {"type"}
    inner = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": TEXT}}
    found = published({"type": "object", "properties": {"spec": inner}})
    assert found["properties"]["spec"] == {"x-kubernetes-preserve-unknown-fields": True}


def test_version_2_has_no_nulls() -> None:
    size = {"type": "array", "nullable": True, "items": TEXT}
    found = published({"type": "object", "required": ["size"], "properties": {"size": size}})
    assert found["properties"]["size"] == {} and "required" not in found


def test_embedded_resources_have_type_and_metadata() -> None:
    template = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": {"type": "object"}},
    }
    inner = published({"type": "object", "properties": {"template": template}}, v2=False)["properties"][
        "template"
    ]
    assert set(inner["properties"]) == {*OURS, "spec"} and set(inner["required"]) == {"kind", "apiVersion"}
