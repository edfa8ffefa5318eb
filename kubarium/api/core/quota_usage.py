"""What an object uses of a ResourceQuota, and which quotas count it.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Mapping

from kubarium.api.core.pod import containers, resources
from kubarium.api.core.pod.status import is_terminal
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, annotations_of, is_deleting, spec_of, status_of

Usage = dict[str, str]
"""Quota resource -> quantity."""

_COUNTED_BY_NAME = frozenset(
    {"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"}
)  # fmt: skip
_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def usage_of(group: str, plural: str, obj: Object) -> Usage:
    """Everything that quotas can count of an object, in all its names."""
    found: Usage = {f"count/{plural}.{group}" if group else f"count/{plural}": "1"}
    if group:
        return found
    if plural in _COUNTED_BY_NAME:
        found[plural] = "1"
    match plural:
        case "pods":
            if not is_counted(obj):
                return {name: amount for name, amount in found.items() if name.startswith("count/")}
            found |= _pod_usage(obj)
        case "services":
            found |= _service_usage(obj)
        case "persistentvolumeclaims":
            found |= _claim_usage(obj)
    return found


def is_counted(pod: Object) -> bool:
    """Pods that have ended, or should long be gone, use nothing."""
    return not is_terminal(pod) and not (
        is_deleting(pod) and status_of(pod).get("phase") in ("Succeeded", "Failed")
    )


def _pod_usage(pod: Object) -> Usage:
    found: Usage = {}
    for name, amount in resources.requests_of(pod).items():
        text = _text(name, amount)
        found[f"requests.{name}"] = text
        if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
            found[name] = text
    for name, amount in resources.limits_of(pod).items():
        found[f"limits.{name}"] = _text(name, amount)
    return found


def _text(resource: str, amount: int) -> str:
    if resource == "cpu":
        return quantity.of_milli(amount)
    bytes_like = resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")
    return quantity.of_value(amount, "BinarySI" if bytes_like else "DecimalSI")


def _service_usage(service: Object) -> Usage:
    spec = spec_of(service)
    ports = len(spec.get("ports") or ())
    match spec.get("type"):
        case "NodePort":
            return {"services.nodeports": str(ports)}
        case "LoadBalancer":
            given = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
            allocated = ports if spec.get("allocateLoadBalancerNodePorts") is not False else given
            return {"services.nodeports": str(allocated), "services.loadbalancers": "1"}
    return {}


def _claim_usage(claim: Object) -> Usage:
    spec = spec_of(claim)
    size = str(((spec.get("resources") or {}).get("requests") or {}).get("storage") or "0")
    found = {"requests.storage": size}
    name = annotations_of(claim).get("volume.beta.kubernetes.io/storage-class") or spec.get(
        "storageClassName"
    )
    if name:
        found[f"{name}{_CLASS_SUFFIX}requests.storage"] = size
        found[f"{name}{_CLASS_SUFFIX}persistentvolumeclaims"] = "1"
    return found


def difference(new: Mapping[str, str], old: Mapping[str, str]) -> Usage:
    """What is used more (or, negative, less) than before."""
    return {
        name: quantity.subtract(new.get(name, "0"), old.get(name, "0"))
        for name in {*new, *old}
        if quantity.compare(new.get(name, "0"), old.get(name, "0")) != 0
    }


def in_scope(quota: Object, group: str, plural: str, obj: Object) -> bool:
    """Do all scopes of the quota apply to the object? Scopes speak of pods and claims; other kinds have none."""
    requirements = [
        {"scopeName": scope, "operator": "Exists"} for scope in spec_of(quota).get("scopes") or ()
    ]
    requirements += (spec_of(quota).get("scopeSelector") or {}).get("matchExpressions") or ()
    if not requirements:
        return True
    if (group, plural) == ("", "persistentvolumeclaims"):
        return all(_has_claim_scope(obj, one) for one in requirements)
    return not group and plural == "pods" and all(has_scope(obj, one) for one in requirements)


def _has_claim_scope(claim: Object, requirement: Object) -> bool:
    """A claim has the attribute class that it wants, the one it has, and the one it is on its way to."""
    if requirement.get("scopeName") != "VolumeAttributesClass":
        return False
    status = claim.get("status") or {}
    classes = {
        spec_of(claim).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    named = {one for one in classes if one} or {""}
    return any(_matches(one, requirement) for one in named)


def has_scope(pod: Object, requirement: Object) -> bool:
    """Does one scope apply to a pod?"""
    spec = spec_of(pod)
    match requirement.get("scopeName"):
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return resources.qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return resources.qos_class(pod) != "BestEffort"
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec)
        case "PriorityClass":
            return _matches(spec.get("priorityClassName") or "", requirement)
    return False


def _matches(value: str, requirement: Object) -> bool:
    values = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "DoesNotExist":
            return not value
    return bool(value)


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [one.get("podAffinityTerm") or {}
                  for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]  # fmt: skip
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def unspecified(pod: Object, hard: Mapping[str, str]) -> list[str]:
    """A quota of compute resources wants every container to say how much: what is missing, and where."""
    wanted = {
        name: ("requests", name.removeprefix("requests.")) if not name.startswith("limits.")
        else ("limits", name.removeprefix("limits."))
        for name in hard
        if name in COMPUTE
    }  # fmt: skip
    missing: list[str] = []
    everyone = [*containers.containers_of(pod), *containers.init_containers_of(pod)]
    for name, (side, resource) in sorted(wanted.items()):
        silent = [container["name"] for container in everyone
                  if resource not in ((container.get("resources") or {}).get(side) or {})]  # fmt: skip
        if silent:
            missing.append(f"{name} for: {','.join(sorted(silent))}")
    return missing
