import pytest

from kubarium.api.apiextensions.schema_validation import schema_errors
from kubarium.apimachinery.field_path import ROOT, FieldPath
from kubarium.apimachinery.schema import list_types
from kubarium.apimachinery.schema.structural import default, from_openapi, prune
from kubarium.apimachinery.schema.validation import validate

SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
                "mode": {"type": "string", "enum": ["A", "B"]},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
                "when": {"type": "string", "format": "date-time"},
                "port": {"x-kubernetes-int-or-string": True},
                "maybe": {"type": "string", "nullable": True},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}, "maxItems": 3},
                "bars": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "age": {"type": "string", "default": "1"}},
                    },
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "one": {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                        "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            },
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def schema():
    return from_openapi(SCHEMA)


def test_pruning_names_what_it_drops(schema):
    obj = {
        "apiVersion": "e/v1",
        "kind": "Foo",
        "metadata": {"anything": 1},
        "spec": {"x": 1, "bars": [{"name": "a", "y": 1}], "labels": {"k": "v"}, "free": {"z": {"zz": 1}}},
    }
    assert prune(obj, schema) == ["spec.x", "spec.bars[0].y"]
    assert obj["spec"] == {"bars": [{"name": "a"}], "labels": {"k": "v"}, "free": {"z": {"zz": 1}}}
    assert obj["metadata"] == {"anything": 1}


def test_defaulting(schema):
    obj = {"spec": {"replicas": None, "mode": None, "maybe": None, "bars": [{"name": "a"}]}}
    default(obj, schema)
    assert obj == {"spec": {"replicas": 3, "maybe": None, "bars": [{"name": "a", "age": "1"}]}}


def _wrong_type(path, actual, wanted):
    return f'{path}: Invalid value: "{actual}": {path} in body must be of type {wanted}: "{actual}"'


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (
            {"replicas": 0},
            "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1",
        ),
        ({"replicas": "x"}, _wrong_type("spec.replicas", "string", "integer")),
        ({"mode": "C"}, 'spec.mode: Unsupported value: "C": supported values: "A", "B"'),
        ({"name": "A1"}, "spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'"),
        ({"name": "abcdef"}, "spec.name: Too long: may not be more than 5 bytes"),
        ({"name": "a"}, 'spec.name: Invalid value: "a": spec.name in body should be at least 2 chars long'),
        ({"when": "now"}, 'spec.when: Invalid value: "now": spec.when in body must be of type date-time: "now"'),
        ({"port": True}, _wrong_type("spec.port", "boolean", "integer,string")),
        ({"bars": [{"age": "1"}]}, "spec.bars[0].name: Required value"),
        ({"bars": [{"name": "a"}, {"name": "a"}]}, 'spec.bars[1]: Duplicate value: {"name":"a"}'),
        ({"tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
        ({"tags": ["a", "b", "c", "d"]}, "spec.tags: Too many: 4: must have at most 3 items"),
        ({"labels": {"k": 1}}, _wrong_type("spec.labels.k", "integer", "string")),
    ],
)  # fmt: skip
def test_errors_have_upstreams_words(schema, spec, error):
    found = [*validate({"spec": spec}, schema), *list_types.errors({"spec": spec}, schema, ROOT)]
    assert [str(one) for one in found] == [error]


def test_alternatives(schema):
    assert validate({"spec": {"one": {"a": "x"}}}, schema) == []
    errors = [str(found) for found in validate({"spec": {"one": {"a": "x", "b": "y"}}}, schema)]
    assert errors == [
        '<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). '
        "Found 2 valid alternatives"
    ]


def test_what_is_required_at_the_root(schema):
    assert [str(found) for found in validate({}, schema)] == ["spec: Required value"]
    assert validate({"spec": {"maybe": None, "port": "80", "when": "2026-01-01T00:00:00Z"}}, schema) == []


def test_an_update_need_not_repair_what_it_does_not_touch(schema):
    old = {"spec": {"replicas": 0, "name": "A", "bars": [{"name": "a", "age": 1}, {"name": "b"}]}}
    assert len(validate(old, schema)) == 3
    assert validate(old, schema, old=old) == []
    new = {"spec": {"replicas": 0, "name": "B", "bars": [{"name": "c", "age": 2}, {"name": "a", "age": 1}]}}
    assert [str(found.path) for found in validate(new, schema, old=old)] == [
        "spec.name",
        "spec.bars[0].age",
    ]


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        (SCHEMA, []),
        ({}, ["s.type: Required value: must not be empty at the root"]),
        (
            {"type": "object", "properties": {"a": {}}},
            ["s.properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            ["s.properties[a].items: Required value: must be specified"],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "int"}}},
            [
                's.properties[a].type: Unsupported value: "int": supported values: '
                '"array", "boolean", "integer", "number", "object", "string"'
            ],
        ),
    ],
)
def test_schemas_must_be_structural(document, errors):
    assert [str(error) for error in schema_errors(document, FieldPath("s"), has_status=False)] == errors


def test_the_order_of_items_with_keys_does_not_matter(schema):
    bars, tags = [{"name": "a", "age": 1}, {"name": "b"}], ["a", "b", "c", "d"]
    assert len(validate({"spec": {"bars": bars}}, schema)) == 1
    assert validate({"spec": {"bars": bars[::-1]}}, schema, old={"spec": {"bars": bars}}) == []
    assert len(validate({"spec": {"tags": tags[::-1]}}, schema, old={"spec": {"tags": tags}})) == 1
