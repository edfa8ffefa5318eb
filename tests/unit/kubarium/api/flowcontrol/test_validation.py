"""FlowSchemas and PriorityLevelConfigurations are refused in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.flowcontrol import priority
from kubarium.api.flowcontrol.validation import (
    validate_conditions,
    validate_flow_schema,
    validate_priority_level,
)
from kubarium.apimachinery.object import Object

RESOURCES = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True}
PATHS = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/debug/*"]}
ANN = {"kind": "User", "user": {"name": "ann"}}


def schema(name: str = "s", subject: Object = ANN, **rule: Any) -> Object:
    rules = [{"subjects": [subject], **(rule or {"resourceRules": [RESOURCES]})}]
    spec = {"priorityLevelConfiguration": {"name": "one"}, "matchingPrecedence": 5, "rules": rules}
    return {"metadata": {"name": name}, "spec": spec}


def level(name: str = "l", type: str = "Limited", **body: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"type": type, **body}}


def queue(**queuing: int) -> Object:
    given = {"queues": 64, "handSize": 8, "queueLengthLimit": 50, **queuing}
    return level(limited={"limitResponse": {"type": "Queue", "queuing": given}})


def told(errors: list[Any]) -> list[str]:
    return [str(error) for error in errors]


def test_good_ones_are_good() -> None:
    assert validate_flow_schema(schema(resourceRules=[RESOURCES], nonResourceRules=[PATHS])) == []
    assert validate_priority_level(queue()) == []
    assert validate_priority_level(level("exempt", "Exempt", exempt={"nominalConcurrencyShares": 7})) == []


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"matchingPrecedence": -1}, ["spec.matchingPrecedence: Invalid value: -1: must be a positive value"]),
        ({"matchingPrecedence": 10001},
         ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]),
        ({"matchingPrecedence": 1},
         ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"]),
        ({"distinguisherMethod": {"type": "ByName"}},
         ['spec.distinguisherMethod.type: Unsupported value: {"Type":"ByName"}: supported values: "ByNamespace", '
          '"ByUser"']),
        ({"priorityLevelConfiguration": {}},
         ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"]),
        ({"rules": [{}]},
         ["spec.rules[0].subjects: Required value: subjects must contain at least one value",
          "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"]),
    ],
)  # fmt: skip
def test_what_a_schema_says_of_itself(given: Object, texts: list[str]) -> None:
    found = schema()
    found["spec"] |= given
    assert told(validate_flow_schema(found)) == texts


@pytest.mark.parametrize(
    ("subject", "texts"),
    [
        ({"kind": "Robot"}, ['kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"']),
        ({"kind": "User", "group": {"name": "x"}},
         ["user: Required value: user is required when subject kind is 'User'",
          "group: Forbidden: group is forbidden when subject kind is not 'Group'"]),
        ({"kind": "Group", "group": {}, "user": {}, "serviceAccount": {}},
         ["group.name: Required value",
          "serviceAccount: Forbidden: serviceAccount is forbidden when subject kind is not 'ServiceAccount'",
          "user: Forbidden: user is forbidden when subject kind is not 'User'"]),
        ({"kind": "ServiceAccount", "serviceAccount": {"name": "*"}},
         ["serviceAccount.namespace: Required value: must specify namespace for service account"]),
    ],
)  # fmt: skip
def test_whom_a_rule_is_about(subject: Object, texts: list[str]) -> None:
    head = "spec.rules[0].subjects[0]."
    assert told(validate_flow_schema(schema(subject=subject))) == [head + text for text in texts]


@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        ({"verbs": ["*", "get"]},
         ["verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs"]),
        ({"verbs": []}, ["verbs: Required value: verbs must contain at least one value"]),
        ({"apiGroups": []}, ["apiGroups: Required value: resource rules must supply at least one api group"]),
        ({"resources": ["*", "a"]},
         ["resources: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other resources"]),
        ({"clusterScope": False},
         ["namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace"]),
    ],
)  # fmt: skip
def test_which_resources_a_rule_is_about(rule: Object, texts: list[str]) -> None:
    found = told(validate_flow_schema(schema(resourceRules=[RESOURCES | rule])))
    assert found == ["spec.rules[0].resourceRules[0]." + text for text in texts]


def test_verbs_are_those_of_the_api() -> None:
    (error,) = told(validate_flow_schema(schema(nonResourceRules=[PATHS | {"verbs": ["read"]}])))
    assert error.startswith(
        'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["read"]: supported '
    )


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "must not be empty"), ("a", "must start with slash"), ("/a b", "must not contain white-space"),
        ("/a//b", "must not contain double slash"), ("/a*", "wildcard can only do suffix matching"),
        ("/*/a/*", "wildcard can only do suffix matching"),
    ],
)  # fmt: skip
def test_which_paths_a_rule_is_about(url: str, text: str) -> None:
    found = told(validate_flow_schema(schema(nonResourceRules=[{"verbs": ["*"], "nonResourceURLs": [url]}])))
    assert found == [f'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "{url}": {text}']


def test_two_schemas_and_two_levels_are_as_they_are() -> None:
    (error,) = told(validate_flow_schema(schema("catch-all")))
    assert error.startswith("spec: Invalid value: {") and error.endswith(
        "spec of 'catch-all' must equal the fixed value"
    )
    (error,) = told(
        validate_priority_level(level("catch-all", limited={"limitResponse": {"type": "Reject"}}))
    )
    assert error.endswith("spec of 'catch-all' must equal the fixed value")
    found = told(validate_priority_level(level("exempt", limited={"limitResponse": {"type": "Reject"}})))
    assert (
        found[0]
        == "spec.type: Invalid value: \"Limited\": type must be 'Exempt' if and only if name is 'exempt'"
    )
    assert found[1].endswith("spec of 'exempt' except the 'spec.exempt' field must equal the fixed value")


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (level(type="Odd"), ['spec.type: Unsupported value: "Odd": supported values: "Exempt", "Limited"']),
        (level(exempt={}),
         ["spec.exempt: Forbidden: must be nil if the type is Limited",
          "spec.limited: Required value: must not be empty when type is Limited"]),
        (level(limited={"nominalConcurrencyShares": -1, "lendablePercent": 101, "borrowingLimitPercent": -1}),
         ["spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
          'spec.limited.limitResponse.type: Unsupported value: "": supported values: "Queue", "Reject"',
          "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
          "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer"]),
        (level(limited={"limitResponse": {"type": "Reject", "queuing": {}}}),
         ["spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited"]),
        (queue(queues=-1),
         ["spec.limited.limitResponse.queuing.queues: Invalid value: -1: must be positive",
          "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (-1)"]),
        (queue(queues=512),
         ["spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and "
          "handSize 8 should not be greater than 60"]),
        (queue(queues=2147483647, handSize=1, queueLengthLimit=-5),
         ["spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -5: must be positive",
          "spec.limited.limitResponse.queuing.queues: Invalid value: 2147483647: must not be greater than 10000000"]),
    ],
)  # fmt: skip
def test_how_a_level_is_limited(given: Object, texts: list[str]) -> None:
    assert told(validate_priority_level(given)) == texts


def test_queues_that_were_not_asked_for_are_not_made_up() -> None:
    given = level(limited={"limitResponse": {"type": "Queue"}})
    priority.default_priority_level(given)
    text = "must not be empty if limited.limitResponse.type is Limited"
    assert told(validate_priority_level(given)) == [
        f"spec.limited.limitResponse.queuing: Required value: {text}"
    ]
    given["spec"]["limited"]["limitResponse"]["queuing"] = {"queues": 9}
    priority.default_priority_level(given)
    assert given["spec"]["limited"]["limitResponse"]["queuing"] == {
        "queues": 9,
        "handSize": 8,
        "queueLengthLimit": 50,
    }


def test_each_condition_has_a_type_of_its_own() -> None:
    given = {"status": {"conditions": [{"type": "a"}, {"type": "a"}, {"type": ""}]}}
    assert told(validate_conditions(given)) == [
        'status.conditions[1].type: Duplicate value: "a"',
        "status.conditions[2].type: Required value: must not be empty",
    ]
