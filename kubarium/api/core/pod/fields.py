"""The downward API: what a pod may learn of itself through `fieldRef` and `resourceFieldRef`.

Source: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kubarium.api.core.pod import resources
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, annotations_of, labels_of

_SUBSCRIPT = re.compile(r"^(metadata\.(?:labels|annotations))\['(.+)'\]$")


class UnknownField(ValueError):
    """The path names nothing that the downward API offers."""


def field_value(pod: Object, path: str, *, host_ips: Iterable[str] = (), pod_ips: Iterable[str] = ()) -> str:
    """The text for a `fieldPath`. Addresses are given, because the object may not show them yet."""
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        found = labels_of(pod) if subscript[1] == "metadata.labels" else annotations_of(pod)
        return found.get(subscript[2], "")
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(metadata.get(path.removeprefix("metadata.")) or "")
        case "metadata.labels":
            return format_map(labels_of(pod))
        case "metadata.annotations":
            return format_map(annotations_of(pod))
        case "spec.nodeName":
            return str(spec.get("nodeName") or "")
        case "spec.serviceAccountName":
            return str(spec.get("serviceAccountName") or "")
        case "status.hostIP":
            return next(iter(host_ips), "")
        case "status.hostIPs":
            return ",".join(host_ips)
        case "status.podIP":
            return next(iter(pod_ips), "")
        case "status.podIPs":
            return ",".join(pod_ips)
    raise UnknownField(f"unsupported fieldPath: {path}")


def format_map(texts: Mapping[str, str]) -> str:
    """`key="value"` lines in the order of the keys, quoted as Go quotes."""
    return "\n".join(f"{key}={_quote(texts[key])}" for key in sorted(texts))


def _quote(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def resource_value(pod: Object, container: Object, reference: Object, allocatable: Mapping[str, Any]) -> str:
    """The number for a `resourceFieldRef`: an absent limit is what the node could give at most.

    The amount is divided by the divisor and rounded up.
    """
    side, _, resource = str(reference.get("resource") or "").partition(".")
    if side not in ("limits", "requests") or not resource:
        raise UnknownField(f"unsupported container resource : {reference.get('resource')}")
    wanted = container.get("resources") or {}
    amount = (wanted.get(side) or {}).get(resource)
    if amount is None and side == "requests":
        amount = (wanted.get("limits") or {}).get(resource)
    if amount is None and side == "limits" and resource in ("cpu", "memory", "ephemeral-storage"):
        amount = allocatable.get(resource)
    if amount is None:
        amount = "0"
    divisor = reference.get("divisor") or "1"
    if quantity.parse(divisor).nano == 0:
        divisor = "1"
    numerator, denominator = quantity.parse(amount).nano, quantity.parse(divisor).nano
    return str(-(-numerator // denominator))


def amounts_of(container: Object, side: str) -> resources.Amounts:
    """Requests or limits of one container as whole numbers; an absent request is the limit."""
    wanted = container.get("resources") or {}
    if side == "requests":
        return resources.amounts({**(wanted.get("limits") or {}), **(wanted.get("requests") or {})})
    return resources.amounts(wanted.get("limits"))
