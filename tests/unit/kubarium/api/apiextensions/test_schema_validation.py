"""Schemas that upstream 1.36 refuses, and those that it takes; what it says was read from its own server."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.apiextensions.schema_validation import Leniency, schema_errors
from kubarium.apimachinery.field_path import FieldPath
from kubarium.apimachinery.schema.rules import allowances_of

TEXT = {"type": "string"}
ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
LIST, KEYS, MAP = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def errors_of(schema: dict[str, Any], **options: Any) -> list[str]:
    found = schema_errors(schema, FieldPath("s"), **{"has_status": False} | options)
    return [str(error).removeprefix("s.") for error in found]


def of_field(**schema: Any) -> list[str]:
    return [error.removeprefix("properties[a].") for error in errors_of(fields(a=schema))]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (fields(a=TEXT), []),
        (
            {**fields(), "additionalProperties": TEXT},
            ["additionalProperties: Forbidden: must not be used at the root"],
        ),
        (TEXT, ['type: Invalid value: "string": must be object at the root']),
        (ANYTHING, []),
        ({**fields(), "$schema": "x"}, ["s: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"]),
        (
            fields(metadata={"type": "object", "description": "x"}),
            [
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but "
                "metadata is implicitly specified"
            ],
        ),
        (
            fields(metadata=fields(name={**TEXT, "default": "x"})),
            [
                "properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata"
            ],
        ),
        (
            fields(kind={"type": "integer"}),
            ['properties[kind].type: Invalid value: "integer": must be string'],
        ),
        (
            {**fields(), "anyOf": [{"properties": {"b": {"minLength": 1}}}]},
            ["properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"],
        ),
    ],
)
def test_the_root(schema: dict[str, Any], expected: list[str]) -> None:
    assert errors_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "null"}, "type: Forbidden: type cannot be set to null, use nullable as an alternative"),
        ({"allOf": [{"type": "string"}], **TEXT}, "allOf[0].type: Forbidden: must be empty to be structural"),
        ({"not": {"nullable": True}, **TEXT}, "not.nullable: Forbidden: must be false to be structural"),
        ({"oneOf": [{"default": 1}], **TEXT}, "oneOf[0].default: Forbidden: must be undefined to be structural"),
        ({"not": {"uniqueItems": True}, **TEXT}, "not.uniqueItems: Forbidden: uniqueItems cannot be set to true "
         "since the runtime complexity becomes quadratic"),
        ({"pattern": "a**", **TEXT}, 'pattern: Invalid value: "a**": must be a valid regular expression, but isn\'t: '
         "error parsing regexp: invalid nested repetition operator: `**`"),
        ({"x-kubernetes-int-or-string": True, **ANYTHING}, "x-kubernetes-preserve-unknown-fields: Invalid value: true: "
         "must be false if x-kubernetes-int-or-string is true"),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "string"}, {"type": "integer"}]},
         "anyOf[0].type: Forbidden: must be empty to be structural"),
        ({"type": "object", "x-kubernetes-embedded-resource": True}, "properties: Required value: must not be empty "
         "if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"),
        ({LIST: "set", **ANYTHING}, "type: Required value: must be array if x-kubernetes-list-type is specified"),
        ({"type": "array", "items": {**TEXT, "nullable": True}, LIST: "set"},
         "items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"),
        ({"type": "array", "items": fields(k=TEXT), LIST: "set"}, "items.x-kubernetes-map-type: Invalid value: null: "
         "must be atomic as item of a list with x-kubernetes-list-type=set"),
        ({"type": "array", "items": {**fields(k=TEXT), "required": ["k"]}, LIST: "map", KEYS: ["k", "k"]},
         'x-kubernetes-list-map-keys: Invalid value: ["k","k"]: must not contain duplicate entries'),
        ({"type": "array", "items": TEXT, LIST: "foo"},
         'x-kubernetes-list-type: Unsupported value: "foo": supported values: "atomic", "set", "map"'),
        ({**TEXT, MAP: "atomic"},
         'type: Invalid value: "string": must be object if x-kubernetes-map-type is specified'),
    ],
)  # fmt: skip
def test_a_field(schema: dict[str, Any], expected: str) -> None:
    assert expected in of_field(**schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "default": "x"},
         'default: Invalid value: "string":  in body must be of type integer: "string"'),
        ({**fields(b=TEXT), "default": {"c": 1}}, 'default: Invalid value: {"c":1}: must not have unknown fields'),
        ({"type": "array", "items": {"type": "integer"}, "default": ["x"]},
         'default.[0]: Invalid value: "string": [0] in body must be of type integer: "string"'),
        ({"type": "array", "items": TEXT, "minItems": 2, "default": ["a"]},
         "default: Invalid value: 1:  in body should have at least 2 items"),
        ({"type": "integer", "default": 3, RULES: [{"rule": "self > 5", "message": "big"}]},
         "default: Invalid value: 3: big"),
        ({"type": "object", "x-kubernetes-embedded-resource": True, **ANYTHING, "default": {"spec": 1}},
         "default.apiVersion: Required value"),
    ],
)  # fmt: skip
def test_defaults_must_be_acceptable(schema: dict[str, Any], expected: str) -> None:
    assert of_field(**schema)[0] == expected


def test_defaults_of_a_maps_values_are_not_asked_about() -> None:
    assert of_field(type="object", additionalProperties={"type": "integer", "default": "x"}) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": " "}, ".rule: Required value: rule is not specified"),
        ({"rule": "true", "message": " "}, '.message: Invalid value: " ": must be non-empty if specified'),
        ({"rule": "true", "message": "a\nb"}, '.message: Invalid value: "a\\nb": must not contain line breaks'),
        ({"rule": "true\n|| false"},
         ".message: Required value: message must be specified if rule contains line breaks"),
        ({"rule": "true", "messageExpression": " "},
         ".messageExpression: Required value: messageExpression must be non-empty if specified"),
        ({"rule": "true", "reason": "Foo"}, '.reason: Unsupported value: "Foo": supported values: '
         '"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"'),
        ({"rule": "true", "fieldPath": ".c"}, '.fieldPath: Invalid value: ".c": must be a valid path'),
        ({"rule": "true", "optionalOldSelf": True},
         ".optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        ({"rule": "self.b"}, '.rule: Invalid value: {"Rule":"self.b","Message":"","MessageExpression":"",'
         '"Reason":null,"FieldPath":"","OptionalOldSelf":null}: cel expression must evaluate to a bool'),
        ({"rule": "self.b > ''", "messageExpression": "1"}, '.messageExpression: Invalid value: {"Rule":"self.b '
         '\\u003e \'\'","Message":"","MessageExpression":"1","Reason":null,"FieldPath":"","OptionalOldSelf":null}: '
         "messageExpression must evaluate to a string"),
    ],
)  # fmt: skip
def test_rules(rule: dict[str, Any], expected: str) -> None:
    assert of_field(**fields(b=TEXT), **{RULES: [rule]}) == [f"{RULES}[0]{expected}"]


def test_rules_about_the_change_of_an_unknown_item() -> None:
    item = {"type": "boolean", RULES: [{"rule": "self == oldSelf"}]}
    text = "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[a]"
    assert of_field(type="array", items=item) == [
        f'items.{RULES}[0].rule: Invalid value: "self == oldSelf": {text}'
    ]


def test_rules_are_not_compiled_where_a_keyword_is_wrong() -> None:
    broken = {"type": "array", "items": TEXT, LIST: "foo"}
    assert len(of_field(**fields(b=broken), **{RULES: [{"rule": "self.nosuch"}]})) == 1


def test_a_status_must_be_told_by_the_properties() -> None:
    found = errors_of({**fields(a=TEXT), "anyOf": [{"required": ["a"]}]}, has_status=True)
    assert found[0].endswith(
        "fields are allowed at the root of the schema if the status subresource is enabled"
    )
    assert errors_of({**fields(a=TEXT), **ANYTHING}, has_status=True) == []


def test_what_was_there_before_may_stay() -> None:
    schema = fields(a={"type": "array", "items": fields(k=TEXT), LIST: "map", KEYS: ["k"]})
    assert len(errors_of(schema)) == 1
    assert errors_of(schema, leniency=Leniency(allowances_of(schema))) == []
