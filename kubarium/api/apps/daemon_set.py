"""`DaemonSet`: one pod on each node that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubarium.api.core import taints
from kubarium.api.core.pod import affinity
from kubarium.apimachinery import int_or_string, labels
from kubarium.apimachinery.object import Object, annotations_of, name_of, spec_of

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"

_ALWAYS_TOLERATED = (
    (taints.NOT_READY, taints.NO_EXECUTE),
    (taints.UNREACHABLE, taints.NO_EXECUTE),
    (taints.DISK_PRESSURE, taints.NO_SCHEDULE),
    (taints.MEMORY_PRESSURE, taints.NO_SCHEDULE),
    (taints.PID_PRESSURE, taints.NO_SCHEDULE),
    (taints.UNSCHEDULABLE, taints.NO_SCHEDULE),
)


def selector_of(daemon_set: Object) -> labels.Selector:
    """Which pods belong to it."""
    return labels.from_label_selector(spec_of(daemon_set).get("selector"))


def template_of(daemon_set: Object) -> Object:
    """What its pods look like."""
    found: Object = spec_of(daemon_set).get("template") or {}
    return found


def min_ready_seconds_of(daemon_set: Object) -> int:
    """How long a pod must be ready before it counts as available."""
    return int(spec_of(daemon_set).get("minReadySeconds") or 0)


def strategy_of(daemon_set: Object) -> str:
    """RollingUpdate or OnDelete."""
    return (spec_of(daemon_set).get("updateStrategy") or {}).get("type") or "RollingUpdate"


def surge_and_unavailable(daemon_set: Object, desired: int) -> tuple[int, int]:
    """`maxSurge` and `maxUnavailable` as numbers for this many nodes; never both zero."""
    rolling = (spec_of(daemon_set).get("updateStrategy") or {}).get("rollingUpdate") or {}
    surge = int_or_string.scaled(rolling.get("maxSurge", 0), desired, round_up=True)
    unavailable = int_or_string.scaled(rolling.get("maxUnavailable", 1), desired, round_up=True)
    return surge, unavailable if surge or unavailable else 1


def revision_history_limit_of(daemon_set: Object) -> int:
    """How many old revisions are kept."""
    limit = spec_of(daemon_set).get("revisionHistoryLimit")
    return 10 if limit is None else int(limit)


def template_generation_of(daemon_set: Object) -> str:
    """The older way to number templates."""
    return annotations_of(daemon_set).get(TEMPLATE_GENERATION) or ""


def number_template(daemon_set: Object, old: Object | None) -> None:
    """Count the templates in an annotation, the older way, which clients still read."""
    metadata = daemon_set["metadata"]
    annotations = metadata.get("annotations") or {}
    if old is None:
        given = annotations.get(TEMPLATE_GENERATION) or ""
        number = max(int(given), 1) if re.fullmatch("-?[0-9]{1,18}", given) else 1
    else:
        before = template_generation_of(old)
        number = int(before) if re.fullmatch("[0-9]{1,18}", before) else 1
        number += spec_of(daemon_set).get("template") != spec_of(old).get("template")
    metadata["annotations"] = {**annotations, TEMPLATE_GENERATION: str(number)}


def with_daemon_tolerations(spec: Object) -> list[Object]:
    """A daemon stays on nodes in trouble: it may be there to help."""
    found: list[Object] = list(spec.get("tolerations") or [])
    wanted = [*_ALWAYS_TOLERATED]
    if spec.get("hostNetwork"):
        wanted.append((taints.NETWORK_UNAVAILABLE, taints.NO_SCHEDULE))
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        found = [t for t in found if (t.get("key"), t.get("effect")) != (key, effect)]
        found.append(toleration)
    return found


def pin_to(spec: Object, node: str) -> Object:
    """The pod's affinity with its required node terms replaced by this one node, found by name."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    found: Object = dict(spec.get("affinity") or {})
    node_affinity = dict(found.get("nodeAffinity") or {})
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}
    found["nodeAffinity"] = node_affinity
    return found


def node_of(pod: Object) -> str:
    """The node a daemon's pod is on or meant for."""
    if node := spec_of(pod).get("nodeName"):
        return str(node)
    for term in affinity.required_node_terms(pod) or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("operator") == "In" and field.get("values"):
                return str(field["values"][0])
    return ""


def fits(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """Should a pod run there, and may one that is there already stay?"""
    spec = spec_of(template_of(daemon_set))
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return False, False
    pod: Object = {"spec": {**spec, "tolerations": with_daemon_tolerations(spec)}}
    if not affinity.node_selector_accepts(pod, node):
        return False, False
    tolerations = affinity.tolerations_of(pod)
    found = taints.taints_of(node)
    should_run = _tolerated(found, tolerations, (taints.NO_SCHEDULE, taints.NO_EXECUTE))
    return should_run, _tolerated(found, tolerations, (taints.NO_EXECUTE,))


def _tolerated(found: Iterable[Object], tolerations: Iterable[Object], effects: tuple[str, ...]) -> bool:
    return affinity.untolerated_taint(found, tolerations, effects) is None
