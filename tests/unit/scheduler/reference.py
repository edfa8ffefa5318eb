"""The plain answer, node by node: what the vectorised plugins must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubarium.api.core.pod import affinity, resources
from kubarium.apimachinery import labels
from kubarium.apimachinery.object import Object, labels_of

ZONE = "topology.kubernetes.io/zone"

Placed = list[tuple[Object, Object]]
"""Pods with their nodes."""


@dataclass
class Volumes:
    """Claims that have their volumes, and how many volumes of a driver a node takes."""

    claims: dict[str, Object] = field(default_factory=dict)  # by name, all in the namespace `default`
    volumes: dict[str, Object] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)  # by node

    def of(self, pod: Object) -> list[tuple[Object, Object]]:
        """The pod's claims with their volumes."""
        names = [
            v["persistentVolumeClaim"]["claimName"] for v in pod["spec"].get("volumes") or () if _is_claim(v)
        ]
        found = [self.claims[name] for name in names]
        return [(claim, self.volumes[claim["spec"]["volumeName"]]) for claim in found]


def refusal(
    pod: Object, node: Object, nodes: Sequence[Object], placed: Placed, volumes: Volumes | None = None
) -> str:
    """The plugin that rules the node out first, or nothing."""
    volumes = volumes or Volumes()
    here = [p for p, n in placed if n is node]
    checks = {
        "NodeUnschedulable": _unschedulable(pod, node),
        "TaintToleration": _tainted(pod, node),
        "NodeAffinity": not affinity.node_selector_accepts(pod, node),
        "NodePorts": _port_taken(pod, here),
        "NodeResourcesFit": _full(pod, node, here),
        "VolumeRestrictions": _volume_in_use(pod, here, volumes),
        "NodeVolumeLimits": _too_many_volumes(pod, node, here, volumes),
        "VolumeBinding": any(not _reaches(node, volume) for _, volume in volumes.of(pod)),
        "VolumeZone": any(_is_in_other_zone(node, volume) for _, volume in volumes.of(pod)),
        "PodTopologySpread": _skewed(pod, node, nodes, placed),
        "InterPodAffinity": _unfriendly(pod, node, placed),
    }
    return next((name for name, refused in checks.items() if refused), "")


def _unschedulable(pod: Object, node: Object) -> bool:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    tolerated = any(affinity.tolerates(t, taint) for t in affinity.tolerations_of(pod))
    return bool(node["spec"].get("unschedulable")) and not tolerated


def _tainted(pod: Object, node: Object) -> bool:
    return (
        affinity.untolerated_taint(node["spec"].get("taints") or [], affinity.tolerations_of(pod)) is not None
    )


def _ports(pod: Object) -> set[tuple[str, str, int]]:
    return {
        (port.get("protocol", "TCP"), port.get("hostIP") or "0.0.0.0", port["hostPort"])
        for c in pod["spec"]["containers"]
        for port in c.get("ports") or ()
    }


def _port_taken(pod: Object, others: list[Object]) -> bool:
    return any(
        mine[0] == theirs[0]
        and mine[2] == theirs[2]
        and (mine[1] == theirs[1] or "0.0.0.0" in (mine[1], theirs[1]))
        for mine in _ports(pod)
        for other in others
        for theirs in _ports(other)
    )


def _is_claim(volume: Object) -> bool:
    return "persistentVolumeClaim" in volume


def _disks(pod: Object) -> list[Object]:
    volumes = pod["spec"].get("volumes") or ()
    return [volume["gcePersistentDisk"] for volume in volumes if "gcePersistentDisk" in volume]


def _volume_in_use(pod: Object, others: list[Object], volumes: Volumes) -> bool:
    for mine in _disks(pod):
        for theirs in (disk for other in others for disk in _disks(other)):
            both_read = mine.get("readOnly") and theirs.get("readOnly")
            if mine["pdName"] == theirs["pdName"] and not both_read:
                return True
    lonely = [claim for claim, _ in volumes.of(pod) if "ReadWriteOncePod" in claim["spec"]["accessModes"]]
    return any(claim in [c for c, _ in volumes.of(other)] for claim in lonely for other in others)


def _handles(pod: Object, volumes: Volumes) -> set[str]:
    return {volume["spec"]["csi"]["volumeHandle"] for _, volume in volumes.of(pod)}


def _too_many_volumes(pod: Object, node: Object, others: list[Object], volumes: Volumes) -> bool:
    limit = volumes.limits.get(node["metadata"]["name"])
    there = set[str]().union(*(_handles(other, volumes) for other in others))
    new = _handles(pod, volumes) - there
    return limit is not None and bool(new) and len(new) + len(there) > limit


def _reaches(node: Object, volume: Object) -> bool:
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms")
    return terms is None or any(affinity.term_accepts(term, node) for term in terms)


def _is_in_other_zone(node: Object, volume: Object) -> bool:
    wanted, has = labels_of(volume).get(ZONE), labels_of(node)
    return wanted is not None and ZONE in has and has[ZONE] not in wanted.split("__")


def _full(pod: Object, node: Object, others: list[Object]) -> bool:
    offered = resources.amounts(node["status"]["allocatable"])
    if len(others) + 1 > offered["pods"]:
        return True
    for name, wanted in resources.requests_of(pod).items():
        used = sum(resources.requests_of(other).get(name, 0) for other in others)
        if wanted and used + wanted > offered.get(name, 0):
            return True
    return False


def _skewed(pod: Object, node: Object, nodes: Sequence[Object], placed: Placed) -> bool:
    constraints = [
        c for c in affinity.topology_spread_constraints(pod) if c["whenUnsatisfiable"] == "DoNotSchedule"
    ]
    keys = [c["topologyKey"] for c in constraints]
    for constraint in constraints:
        key, selector = constraint["topologyKey"], labels.from_label_selector(constraint["labelSelector"])
        if key not in labels_of(node):
            return True
        counts: dict[str, int] = {}
        for other in nodes:
            if not all(k in labels_of(other) for k in keys):
                continue
            if constraint.get(
                "nodeAffinityPolicy", "Honor"
            ) == "Honor" and not affinity.node_selector_accepts(pod, other):
                continue
            if constraint.get("nodeTaintsPolicy", "Ignore") == "Honor" and _tainted(pod, other):
                continue
            here = [
                p
                for p, n in placed
                if n is other and p["metadata"]["namespace"] == pod["metadata"]["namespace"]
            ]
            matching = sum(1 for p in here if selector.matches(labels_of(p)))
            counts[labels_of(other)[key]] = counts.get(labels_of(other)[key], 0) + matching
        if not counts:
            continue
        fewest = 0 if len(counts) < constraint.get("minDomains", 1) else min(counts.values())
        self_match = int(selector.matches(labels_of(pod)))
        if counts.get(labels_of(node)[key], 0) + self_match - fewest > constraint["maxSkew"]:
            return True
    return False


def _selects(term: Object, owner: Object, other: Object) -> bool:
    namespaces = term.get("namespaces") or [owner["metadata"]["namespace"]]
    if other["metadata"]["namespace"] not in namespaces:
        return False
    return labels.from_label_selector(term["labelSelector"]).matches(labels_of(other))


def _together(term: Object, node: Object, other: Object) -> bool:
    key = term["topologyKey"]
    return key in labels_of(node) and labels_of(node)[key] == labels_of(other).get(key)


def _unfriendly(pod: Object, node: Object, placed: Placed) -> bool:
    wanted = affinity.required_pod_affinity(pod)
    friends = [(p, n) for p, n in placed if all(_selects(term, pod, p) for term in wanted)]
    if wanted:
        anywhere = any(term["topologyKey"] in labels_of(n) for term in wanted for _, n in friends)
        alone = not anywhere and all(_selects(term, pod, pod) for term in wanted)
        for term in wanted:
            if term["topologyKey"] not in labels_of(node):
                return True
            if not alone and not any(_together(term, node, n) for _, n in friends):
                return True
    for term in affinity.required_pod_anti_affinity(pod):
        if any(_selects(term, pod, p) and _together(term, node, n) for p, n in placed):
            return True
    return any(
        _selects(term, p, pod) and _together(term, node, n)
        for p, n in placed
        for term in affinity.required_pod_anti_affinity(p)
    )


def least_allocated(pod: Object, node: Object, others: list[Object]) -> int:
    """The score of NodeResourcesFit."""
    offered = resources.amounts(node["status"]["allocatable"])
    scores = []
    for name, default in (("cpu", 100), ("memory", 200 * 1024 * 1024)):
        used = sum(resources.requests_of(p).get(name, 0) or default for p in [*others, pod])
        if offered.get(name):
            scores.append(max(0, offered[name] - used) * 100 // offered[name])
    return sum(scores) // len(scores) if scores else 0


def balance(pod: Object, node: Object, others: list[Object]) -> int:
    """The score of NodeResourcesBalancedAllocation."""
    offered = resources.amounts(node["status"]["allocatable"])
    shares = []
    for name in ("cpu", "memory"):
        used = sum(resources.requests_of(p).get(name, 0) for p in [*others, pod])
        shares.append(min(1.0, used / offered[name]))
    return int((1 - abs(shares[0] - shares[1]) / 2) * 100)


def affinity_score(pod: Object, node: Object, placed: Placed) -> int:
    """The raw score of InterPodAffinity."""
    total = 0
    for sign, terms in (
        (1, affinity.preferred_pod_affinity),
        (-1, affinity.preferred_pod_anti_affinity),
    ):
        for p, n in placed:
            for item in terms(pod):
                if _selects(item["podAffinityTerm"], pod, p) and _together(item["podAffinityTerm"], node, n):
                    total += sign * item["weight"]
            for item in terms(p):
                if _selects(item["podAffinityTerm"], p, pod) and _together(item["podAffinityTerm"], node, n):
                    total += sign * item["weight"]
    for p, n in placed:
        for term in affinity.required_pod_affinity(p):
            if _selects(term, p, pod) and _together(term, node, n):
                total += 1
    return total
