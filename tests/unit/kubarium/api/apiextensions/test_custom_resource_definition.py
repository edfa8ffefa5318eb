"""Definitions that upstream refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.apiextensions import approval, custom_resource_definition
from kubarium.apimachinery.object import Object

LABEL = "a DNS-1035 label must consist of"


def definition(**version: Any) -> Object:
    schema = {"openAPIV3Schema": {"type": "object"}}
    one = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
    spec = {"group": "example.com", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"}}
    made = {"metadata": {"name": "toys.example.com"}, "spec": {**spec, "versions": [one]}}
    made["status"] = {"storedVersions": [one["name"]]}
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
    assert found[0].startswith(f'spec.versions[0].name: Invalid value: "V1": {LABEL}')
    assert found[1].startswith(
        f'spec.version: Invalid value: "V1": {LABEL}'
    )  # once more in the internal form
    assert found[2].startswith(f'spec.names.shortNames[0]: Invalid value: "A B": {LABEL}')
    assert found[3] == 'spec.names.listKind: Invalid value: "Toy": kind and listKind may not be the same'


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


SPEC_WITH_COLOR = {
    "openAPIV3Schema": {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"color": {"type": "string"}}}},
    }
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.color", []),
        (".spec.size", ["is an invalid path: does not refer to a valid field"]),
        (".spec['color']", ["is an invalid path: array notation is not allowed"]),
        ("spec.color", ["is an invalid path: expected [ or . but got: spec"]),
        (".spec.color.", ["is an invalid path: unexpected end of JSON path"]),
    ],
)
def test_selectable_fields_are_in_the_schema(path: str, expected: list[str]) -> None:
    made = definition(schema=SPEC_WITH_COLOR, selectableFields=[{"jsonPath": path}])
    at = f'spec.selectableFields[0].jsonPath: Invalid value: "{path}": '
    assert errors_of(made) == [at + text for text in expected]


def test_unknown_formats_are_told_once() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "nosuch"}}}
    made = definition(schema={"openAPIV3Schema": schema})
    assert custom_resource_definition.warnings(made, None) == ['unrecognized format "nosuch"']
    assert custom_resource_definition.warnings(made, made) == []


def test_a_version_that_is_kept_somewhere_stays() -> None:
    made = definition()
    made["status"]["storedVersions"] = ["v0", "v1"]
    (error,) = errors_of(made)
    assert error.startswith(
        'status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0 was'
    )


def test_the_scope_may_change_until_it_is_served() -> None:
    old, new = definition(), definition()
    new["spec"]["scope"] = "Cluster"
    assert custom_resource_definition.validate_update(new, old) == []
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    found = [str(error) for error in custom_resource_definition.validate_update(new, old)]
    assert found == ['spec.scope: Invalid value: "Cluster": field is immutable']


def test_a_webhooks_address_is_checked() -> None:
    made = definition()
    config = {"service": {"name": "a", "namespace": "b", "path": "x", "port": 0}}
    made["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1", "v1"]},
    }
    at = "spec.conversion.webhookClientConfig.service."
    assert errors_of(made) == [
        f"{at}port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
        f"{at}path: Invalid value: \"x\": must start with a '/'",
        f'{at}path: Invalid value: "x": segment[0] may not be empty',
        'spec.conversion.conversionReviewVersions[1]: Invalid value: "v1": duplicate version',
    ]


@pytest.mark.parametrize(
    ("said", "status", "reason", "message"),
    [
        (
            "https://github.com/a/b/pull/1",
            "True",
            "ApprovedAnnotation",
            "approved in https://github.com/a/b/pull/1",
        ),
        ("unapproved, a test", "False", "UnapprovedAnnotation", 'not approved: "unapproved, a test"'),
    ],
)
def test_the_status_tells_of_the_approval(said: str, status: str, reason: str, message: str) -> None:
    made = definition()
    assert approval.condition(made) is None
    made["spec"]["group"] = "x.k8s.io"
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": said}
    kind = "KubernetesAPIApprovalPolicyConformant"
    assert approval.condition(made) == {"type": kind, "status": status, "reason": reason, "message": message}


def test_an_approval_may_stay_as_bad_as_it_was() -> None:
    old, new = definition(), definition()
    for made in (old, new):
        made["metadata"] = {"name": "toys.x.k8s.io"}
        made["spec"]["group"] = "x.k8s.io"
    assert custom_resource_definition.validate_update(new, old) == []
    old["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved"}
    (error,) = custom_resource_definition.validate_update(new, old)
    assert error.type == "FieldValueRequired"


def test_the_storage_version_is_known_to_be_stored() -> None:
    made = definition()
    made["status"] = {"storedVersions": []}
    custom_resource_definition.fill_defaults(made)
    assert made["status"]["storedVersions"] == ["v1"]
