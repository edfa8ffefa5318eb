"""Scores node by node: what the vectorised plugins must agree with, as far as `reference.py` does not say it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kubarium.api.core.pod import affinity
from kubarium.apimachinery import labels
from kubarium.apimachinery.object import Object, labels_of
from tests.unit.scheduler.reference import Placed

HOSTNAME = "kubernetes.io/hostname"
MEGABYTE = 1024 * 1024


def _share_of_best(raw: Sequence[float], *, reverse: bool = False) -> list[int]:
    best = max(raw, default=0)
    if best == 0:
        return [100 if reverse else 0] * len(raw)
    scaled = [int(100 * value // best) for value in raw]
    return [100 - value for value in scaled] if reverse else scaled


def taints(pod: Object, nodes: Sequence[Object]) -> list[int]:
    """TaintToleration: the fewer soft taints, the better."""
    tolerations = [
        t for t in affinity.tolerations_of(pod) if t.get("effect") in (None, "", "PreferNoSchedule")
    ]

    def avoided(node: Object) -> int:
        soft = [t for t in node["spec"].get("taints") or () if t["effect"] == "PreferNoSchedule"]
        return sum(1 for t in soft if not any(affinity.tolerates(one, t) for one in tolerations))

    return _share_of_best([avoided(node) for node in nodes], reverse=True)


def node_affinity(pod: Object, nodes: Sequence[Object]) -> list[int]:
    """NodeAffinity: the weights of the preferences that a node meets."""

    def weight(node: Object) -> int:
        terms = affinity.preferred_node_terms(pod)
        return sum(t["weight"] for t in terms if affinity.term_accepts(t["preference"], node))

    return _share_of_best([weight(node) for node in nodes])


def images(pod: Object, nodes: Sequence[Object], everywhere: Sequence[Object]) -> list[int]:
    """ImageLocality: how much need not be pulled, rare images counting less."""

    def size_at(node: Object, image: str) -> int:
        found = [i["sizeBytes"] for i in node["status"]["images"] if image in i["names"]]
        return found[0] if found else 0

    wanted = [container["image"] for container in pod["spec"]["containers"]]
    least, most = 23 * MEGABYTE, 1000 * MEGABYTE * len(wanted)
    scores = []
    for node in nodes:
        total = 0
        for image in wanted:
            holders = sum(1 for other in everywhere if size_at(other, image))
            total += int(size_at(node, image) * (holders / len(everywhere)))
        scores.append(100 * (min(max(total, least), most) - least) // (most - least))
    return scores


def spread(pod: Object, nodes: Sequence[Object], everywhere: Sequence[Object], placed: Placed) -> list[int]:
    """PodTopologySpread: the fewer pods of its sort in the domains of a node, the better."""
    soft = [
        c for c in affinity.topology_spread_constraints(pod) if c["whenUnsatisfiable"] == "ScheduleAnyway"
    ]
    keys = [c["topologyKey"] for c in soft]
    counted = [node for node in nodes if all(key in labels_of(node) for key in keys)]
    raw = {id(node): _spread_at(pod, node, soft, counted, everywhere, placed) for node in counted}
    if not raw:
        return [0] * len(nodes)
    top, bottom = max(raw.values()), min(raw.values())

    def normalized(node: Object) -> int:
        if id(node) not in raw:
            return 0
        return 100 if top == 0 else int(100 * (top + bottom - raw[id(node)]) // top)

    return [normalized(node) for node in nodes]


def _spread_at(
    pod: Object,
    node: Object,
    soft: Sequence[Object],
    counted: Sequence[Object],
    everywhere: Sequence[Object],
    placed: Placed,
) -> int:
    total = 0.0
    keys = [c["topologyKey"] for c in soft]
    for constraint in soft:
        key = constraint["topologyKey"]
        of_sort = _matcher(pod, constraint)
        if key == HOSTNAME:
            size = len(counted)
            number = sum(1 for p, n in placed if n is node and of_sort(p))
        else:
            size = len({labels_of(other)[key] for other in counted})
            same = [n for n in everywhere if labels_of(n).get(key) == labels_of(node)[key]]
            same = [n for n in same if _is_included(pod, n, keys, constraint)]
            number = sum(1 for p, n in placed if any(n is other for other in same) and of_sort(p))
        total += number * math.log(size + 2) + constraint["maxSkew"] - 1
    return math.floor(total + 0.5)


def _matcher(pod: Object, constraint: Object) -> Callable[[Object], bool]:
    selector = labels.from_label_selector(constraint["labelSelector"])
    namespace = pod["metadata"]["namespace"]
    return lambda p: p["metadata"]["namespace"] == namespace and selector.matches(labels_of(p))


def _is_included(pod: Object, node: Object, keys: Sequence[str], constraint: Object) -> bool:
    """Do pods on this node count at all?"""
    if not all(key in labels_of(node) for key in keys):
        return False
    if constraint["nodeAffinityPolicy"] == "Honor" and not affinity.node_selector_accepts(pod, node):
        return False
    taints = node["spec"].get("taints") or []
    tolerated = affinity.untolerated_taint(taints, affinity.tolerations_of(pod)) is None
    return constraint["nodeTaintsPolicy"] != "Honor" or tolerated
