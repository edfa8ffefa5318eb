"""Definitions that upstream refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.apiextensions import custom_resource_definition
from kubarium.apimachinery.object import Object

LABEL = "a DNS-1035 label must consist of"


def definition(**version: Any) -> Object:
    schema = {"openAPIV3Schema": {"type": "object"}}
    one = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
    spec = {"group": "example.com", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"}}
    made = {"metadata": {"name": "toys.example.com"}, "spec": {**spec, "versions": [one]}}
    custom_resource_definition.fill_defaults(made)
    return made


def errors_of(made: Object) -> list[str]:
    return [str(error) for error in custom_resource_definition.validate(made)]


def test_a_plain_one_is_fine() -> None:
    assert errors_of(definition()) == []


def test_names_are_labels() -> None:
    made = definition(name="V1")
    made["spec"]["names"] |= {"shortNames": ["A B"], "listKind": "Toy"}
    found = errors_of(made)
    assert found[0].startswith(f'spec.names.shortNames[0]: Invalid value: "A B": {LABEL}')
    assert found[1] == 'spec.names.listKind: Invalid value: "Toy": kind and listKind may not be the same'
    assert found[2].startswith(f'spec.versions[0].name: Invalid value: "V1": {LABEL}')


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            {"subresources": {"scale": {"specReplicasPath": ".spec", "statusReplicasPath": "x"}}},
            [
                'spec.subresources.scale.specReplicasPath: Invalid value: ".spec": should be a json path under .spec',
                'spec.subresources.scale.statusReplicasPath: Invalid value: "x": must be a simple json path '
                "starting with .",
            ],
        ),
        (
            {"additionalPrinterColumns": [{"name": "", "type": "strin", "jsonPath": "spec[0"}]},
            [
                "spec.additionalPrinterColumns[0].name: Required value",
                'spec.additionalPrinterColumns[0].type: Invalid value: "strin": must be one of '
                "boolean,date,integer,number,string",
                'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec[0": must be a simple json path '
                "starting with .",
            ],
        ),
    ],
)
def test_paths_lead_where_they_should(version: Object, expected: list[str]) -> None:
    assert errors_of(definition(**version)) == expected


def test_a_webhook_is_asked_for_in_the_older_versions_paths() -> None:
    made = definition()
    made["spec"]["conversion"] = {"strategy": "Webhook"}
    assert errors_of(made) == [
        "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        "spec.conversion.conversionReviewVersions: Required value",
    ]


def test_groups_of_the_community_need_its_approval() -> None:
    made = definition()
    made["metadata"]["name"], made["spec"]["group"] = "toys.x.k8s.io", "x.k8s.io"
    (missing,) = errors_of(made)
    assert missing.startswith(
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups"
    )
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "perhaps"}
    (wrong,) = errors_of(made)
    assert 'Invalid value: "perhaps": ' in wrong
    for fine in ("unapproved, only tried", "https://example.com/1"):
        made["metadata"]["annotations"] = {"api-approved.kubernetes.io": fine}
        assert errors_of(made) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"x-kubernetes-preserve-unknown-fields": False},
            ".x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            {"properties": {"a": {"type": "string", "pattern": "("}}},
            '.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: '
            "error parsing regexp: missing closing ): `(`",
        ),
        (
            {"x-kubernetes-validations": [{"rule": " "}]},
            ".x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            {"properties": {"a": {"type": "integer", "anyOf": [{"default": 1}]}}},
            ".properties[a].anyOf[0].default: Forbidden: must be undefined to be structural",
        ),
    ],
)
def test_schemas_are_judged_in_upstreams_words(schema: Object, expected: str) -> None:
    made = definition(schema={"openAPIV3Schema": {"type": "object", **schema}})
    assert errors_of(made) == [f"spec.validation.openAPIV3Schema{expected}"]
