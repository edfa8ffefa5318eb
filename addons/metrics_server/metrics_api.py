"""The objects of `metrics.k8s.io/v1beta1`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from addons.metrics_server.samples import Samples, Usage
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, labels_of, name_of, namespace_of, spec_of
from kubarium.apimachinery.time import format_time

API_VERSION = "metrics.k8s.io/v1beta1"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {
            "name": "nodes",
            "singularName": "",
            "namespaced": False,
            "kind": "NodeMetrics",
            "verbs": ["get", "list"],
        },
        {
            "name": "pods",
            "singularName": "",
            "namespaced": True,
            "kind": "PodMetrics",
            "verbs": ["get", "list"],
        },
    ],
}


def node_metrics(node: Object, samples: Samples) -> Object | None:
    """The use of a node; None while there are no two samples."""
    used = samples.node(name_of(node))
    if used is None:
        return None
    return {
        "kind": "NodeMetrics",
        "apiVersion": API_VERSION,
        "metadata": {
            "name": name_of(node),
            "labels": labels_of(node),
            "creationTimestamp": _moment(used.moment),
        },
        "timestamp": _moment(used.moment),
        "window": _window(used.window),
        "usage": _usage(used),
    }


def pod_metrics(pod: Object, samples: Samples) -> Object | None:
    """The use of a pod; None unless there is something to say of it."""
    found = samples.pod(spec_of(pod).get("nodeName") or "", namespace_of(pod), name_of(pod))
    if not found:
        return None
    last = max(found.values(), key=lambda used: used.moment)
    return {
        "kind": "PodMetrics",
        "apiVersion": API_VERSION,
        "metadata": {
            "name": name_of(pod),
            "namespace": namespace_of(pod),
            "labels": labels_of(pod),
            "creationTimestamp": _moment(last.moment),
        },
        "timestamp": _moment(last.moment),
        "window": _window(last.window),
        "containers": [{"name": name, "usage": _usage(used)} for name, used in sorted(found.items())],
    }


def list_of(kind: str, items: Iterable[Object | None]) -> Object:
    """A list; what has no metrics is left out."""
    return {
        "kind": f"{kind}List",
        "apiVersion": API_VERSION,
        "metadata": {},
        "items": [item for item in items if item is not None],
    }


def table_of(found: Object) -> Object:
    """One object or a list as `kubectl get` shows it: what is in use, all containers together."""
    items = found.get("items", [found])
    totals = [_total(item) for item in items]
    names = sorted(totals[0]) if totals else []
    columns = [
        {"name": "Name", "type": "string", "format": "name", "description": "Name of the resource"},
        *({"name": name, "type": "string", "format": "quantity", "description": ""} for name in names),
        {"name": "Window", "type": "string", "format": "duration", "description": ""},
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [column | {"priority": 0} for column in columns],
        "rows": [
            {
                "cells": [name_of(item), *(total[name] for name in names), item["window"]],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": item["metadata"],
                },
            }
            for item, total in zip(items, totals, strict=True)
        ],
    }


def _total(item: Object) -> dict[str, str]:
    parts = [item] if "usage" in item else item["containers"]
    return {name: quantity.total(part["usage"][name] for part in parts) for name in parts[0]["usage"]}


def _moment(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))


def _window(seconds: float) -> str:
    return f"{seconds:.3f}s"


def _usage(used: Usage) -> Object:
    amounts = {"cpu": f"{used.nanocores}n", "memory": f"{used.memory_bytes // 1024}Ki"}
    return {name: quantity.canonical(amount) for name, amount in amounts.items()}
