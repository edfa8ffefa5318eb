"""`defaults.yaml` as objects."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from kubarium.apimachinery.object import Object

FLOW_CONTROL = "flowcontrol.apiserver.k8s.io/v1"
_AUTO_UPDATE = {"apf.kubernetes.io/autoupdate-spec": "true"}


def load() -> dict[str, Any]:
    """The file."""
    text = resources.files("apiserver.bootstrap").joinpath("defaults.yaml").read_text()
    loaded: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return loaded


def namespaces(data: dict[str, Any]) -> list[Object]:
    """The namespaces that come with a cluster."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in data["namespaces"]
    ]


def priority_classes(data: dict[str, Any]) -> list[Object]:
    """The two classes of pods that the cluster itself needs."""
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": body["value"],
            "globalDefault": False,
            "description": body["description"],
            "preemptionPolicy": "PreemptLowerPriority",
        }
        for name, body in data["priority_classes"].items()
    ]


def priority_levels(data: dict[str, Any]) -> list[Object]:
    """How the seats are shared out."""
    return [
        {
            "apiVersion": FLOW_CONTROL,
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": name, "annotations": dict(_AUTO_UPDATE)},
            "spec": _level_spec(body),
        }
        for name, body in data["priority_levels"].items()
    ]


def _level_spec(body: dict[str, Any]) -> Object:
    shares = {"nominalConcurrencyShares": body["shares"], "lendablePercent": body["lendable"]}
    if body.get("exempt"):
        return {"type": "Exempt", "exempt": shares}
    response: Object = {"type": "Reject"}
    if "queues" in body:
        queuing = {"queues": body["queues"], "handSize": body["hand"], "queueLengthLimit": body["length"]}
        response = {"type": "Queue", "queuing": queuing}
    return {"type": "Limited", "limited": {**shares, "limitResponse": response}}


def flow_schemas(data: dict[str, Any]) -> list[Object]:
    """Which requests belong to which level."""
    return [
        {
            "apiVersion": FLOW_CONTROL,
            "kind": "FlowSchema",
            "metadata": {"name": name, "annotations": dict(_AUTO_UPDATE)},
            "spec": _schema_spec(body),
        }
        for name, body in data["flow_schemas"].items()
    ]


_EVERYTHING = {"verbs": ["*"], "groups": ["*"], "resources": ["*"], "namespaces": ["*"], "cluster": True}


def _schema_spec(body: dict[str, Any]) -> Object:
    rule: Object = {"subjects": [_subject(text) for text in body["subjects"]]}
    asked = body.get("resources", [_EVERYTHING])
    if asked:
        rule["resourceRules"] = [_resource_rule(one) for one in asked]
    paths = body.get("paths", {"verbs": ["*"], "urls": ["*"]})
    if paths:
        rule["nonResourceRules"] = [{"verbs": paths["verbs"], "nonResourceURLs": paths["urls"]}]
    spec: Object = {
        "priorityLevelConfiguration": {"name": body["level"]},
        "matchingPrecedence": body["precedence"],
        "rules": [rule],
    }
    if "by" in body:
        spec["distinguisherMethod"] = {"type": body["by"]}
    return spec


def _resource_rule(one: dict[str, Any]) -> Object:
    found: Object = {"verbs": one["verbs"], "apiGroups": one["groups"], "resources": one["resources"]}
    if one.get("cluster"):
        found["clusterScope"] = True
    return {**found, "namespaces": one["namespaces"]}


def _subject(text: str) -> Object:
    kind, _, name = text.partition(" ")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "serviceAccount": {"namespace": namespace, "name": account}}
    return {"kind": kind, kind.lower(): {"name": name}}
