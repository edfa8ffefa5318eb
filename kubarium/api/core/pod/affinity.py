"""Where a pod wants to be: node selector, affinity, tolerations, spread constraints, as pure questions.

`node_selector_accepts` and `untolerated_taint` are the plain answer for one pod and one node; the scheduler
asks the same for all nodes at once.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from kubarium.apimachinery import labels
from kubarium.apimachinery.object import Object, labels_of, name_of

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")


def tolerations_of(pod: Object) -> list[Object]:
    """The taints that the pod puts up with."""
    return (pod.get("spec") or {}).get("tolerations") or []


def tolerates(toleration: Object, taint: Object) -> bool:
    """Does this toleration cover this taint? An absent key or effect covers all of them."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    mine, theirs = toleration.get("value") or "", taint.get("value") or ""
    match operator:
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and bool(mine == theirs)
        case "Lt" | "Gt":
            return _compares(operator, theirs, mine)
    return False


def _compares(operator: str, taint_value: str, bound: str) -> bool:
    try:
        return int(taint_value) < int(bound) if operator == "Lt" else int(taint_value) > int(bound)
    except ValueError:
        return False


def untolerated_taint(
    taints: Iterable[Object], tolerations: Iterable[Object], effects: Container[str | None] = BLOCKING_EFFECTS
) -> Object | None:
    """The first taint with one of these effects that nothing tolerates."""
    for taint in taints:
        if taint.get("effect") in effects and not any(
            tolerates(toleration, taint) for toleration in tolerations
        ):
            return taint
    return None


def node_selector_of(pod: Object) -> Mapping[str, str]:
    """`spec.nodeSelector`."""
    return (pod.get("spec") or {}).get("nodeSelector") or {}


def _affinity(pod: Object, kind: str) -> Object:
    return ((pod.get("spec") or {}).get("affinity") or {}).get(kind) or {}


def required_node_terms(pod: Object) -> list[Object] | None:
    """The alternatives of required node affinity; None when the pod does not ask for any."""
    required = _affinity(pod, "nodeAffinity").get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or []


def preferred_node_terms(pod: Object) -> list[Object]:
    """`{weight, preference}` of preferred node affinity."""
    return _affinity(pod, "nodeAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or []


def required_pod_affinity(pod: Object) -> list[Object]:
    """Terms of pods near which this pod must be."""
    return _affinity(pod, "podAffinity").get("requiredDuringSchedulingIgnoredDuringExecution") or []


def required_pod_anti_affinity(pod: Object) -> list[Object]:
    """Terms of pods near which this pod must not be."""
    return _affinity(pod, "podAntiAffinity").get("requiredDuringSchedulingIgnoredDuringExecution") or []


def preferred_pod_affinity(pod: Object) -> list[Object]:
    """`{weight, podAffinityTerm}` of pods near which this pod would like to be."""
    return _affinity(pod, "podAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or []


def preferred_pod_anti_affinity(pod: Object) -> list[Object]:
    """`{weight, podAffinityTerm}` of pods that this pod would rather avoid."""
    return _affinity(pod, "podAntiAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or []


def topology_spread_constraints(pod: Object) -> list[Object]:
    """`spec.topologySpreadConstraints`."""
    return (pod.get("spec") or {}).get("topologySpreadConstraints") or []


def term_accepts(term: Object, node: Object) -> bool:
    """Does one `NodeSelectorTerm` select the node? An empty term selects nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    node_labels = labels_of(node)
    node_fields = {"metadata.name": name_of(node)}
    try:
        return all(
            labels.requirement_of(expression).matches(node_labels) for expression in expressions
        ) and all(labels.requirement_of(field).matches(node_fields) for field in fields)
    except ValueError:
        return False


def node_selector_accepts(pod: Object, node: Object) -> bool:
    """Do the pod's node selector and required node affinity accept the node?"""
    node_labels = labels_of(node)
    if any(node_labels.get(key) != value for key, value in node_selector_of(pod).items()):
        return False
    terms = required_node_terms(pod)
    return terms is None or any(term_accepts(term, node) for term in terms)


def merge_label_keys(pod: Object) -> None:
    """Turn `matchLabelKeys` and `mismatchLabelKeys` into requirements with the pod's own values, at creation.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys
    """
    own = labels_of(pod)
    terms = [*required_pod_affinity(pod), *required_pod_anti_affinity(pod), *topology_spread_constraints(pod)]
    weighted = [*preferred_pod_affinity(pod), *preferred_pod_anti_affinity(pod)]
    for term in [*terms, *(item.get("podAffinityTerm") or {} for item in weighted)]:
        added = [
            {"key": key, "operator": operator, "values": [own[key]]}
            for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
            for key in term.get(field) or ()
            if key in own
        ]
        if added and term.get("labelSelector") is not None:
            selector = term["labelSelector"]
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]
