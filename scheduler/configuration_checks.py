"""What may be wrong in a `KubeSchedulerConfiguration`, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kubarium.api.core.pod.resources import is_extended
from kubarium.apimachinery import labels, names
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object
from kubarium.component_base.options import parse_duration

REMOVED = ("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits")
POINTS = (
    "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve", "permit",
    "preBind", "bind", "postBind",
)  # fmt: skip
STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
ACTIONS = ("DoNotSchedule", "ScheduleAnyway")

FIELDS = (
    "apiVersion", "kind", "parallelism", "leaderElection", "clientConnection", "enableProfiling",
    "enableContentionProfiling", "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds",
    "profiles", "extenders", "delayCacheUntilActive",
)  # fmt: skip
PROFILE_FIELDS = ("schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig")
EXTENDER_FIELDS = (
    "urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "weight", "bindVerb", "enableHTTPS", "tlsConfig",
    "httpTimeout", "nodeCacheCapable", "managedResources", "ignorable",
)  # fmt: skip


def unknown_fields(document: Object) -> list[str]:
    """The fields that no version of the file has, by their place."""
    found = [name for name in document if name not in FIELDS]
    for part, known in (("profiles", PROFILE_FIELDS), ("extenders", EXTENDER_FIELDS)):
        for number, entry in enumerate(document.get(part) or ()):
            found += [f"{part}[{number}].{name}" for name in entry if name not in known]
    for number, entry in enumerate(document.get("profiles") or ()):
        places = entry.get("plugins") or {}
        found += [
            f"profiles[{number}].plugins.{name}" for name in places if name not in (*POINTS, "multiPoint")
        ]
    return sorted(found)


def problems_of(document: Object) -> Iterator[FieldError]:
    """All that is wrong in a document whose defaults are filled in."""
    yield from _election(document["leaderElection"], ROOT / "leaderElection")
    if document["parallelism"] <= 0:
        detail = "should be an integer value greater than zero"
        yield invalid(ROOT / "parallelism", document["parallelism"], detail)
    yield from _profiles(document["profiles"], ROOT / "profiles")
    yield from _percentage(document.get("percentageOfNodesToScore"), ROOT / "percentageOfNodesToScore")
    first, last = document["podInitialBackoffSeconds"], document["podMaxBackoffSeconds"]
    if first <= 0:
        yield invalid(ROOT / "podInitialBackoffSeconds", first, "must be greater than 0")
    if last < first:
        detail = "must be greater than or equal to PodInitialBackoffSeconds"
        yield invalid(ROOT / "podMaxBackoffSeconds", last, detail)
    yield from _extenders(document["extenders"], ROOT / "extenders")


def _election(election: Object, path: FieldPath) -> Iterator[FieldError]:
    if not election["leaderElect"]:
        return
    times = {
        name: parse_duration(str(election[name]))
        for name in ("leaseDuration", "renewDeadline", "retryPeriod")
    }
    for name, seconds in times.items():
        if seconds <= 0:
            yield invalid(path / name, election[name], "must be greater than zero")
    if times["leaseDuration"] <= times["renewDeadline"]:
        detail = "LeaseDuration must be greater than RenewDeadline"
        yield invalid(path / "leaseDuration", election["renewDeadline"], detail)
    for name in ("resourceLock", "resourceNamespace", "resourceName"):
        if not election[name]:
            yield invalid(path / name, election[name], f"{name} is required")
    if election["resourceLock"] != "leases":
        yield invalid(path / "resourceLock", election["resourceLock"], 'resourceLock value must be "leases"')


def _percentage(value: Any, path: FieldPath) -> Iterator[FieldError]:
    if value is not None and not 0 <= value <= 100:
        yield invalid(path, value, "not in valid range [0-100]")


# ---- profiles


def _profiles(profiles: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    seen: dict[str, int] = {}
    for number, profile in enumerate(profiles):
        here = path % number
        if not profile["schedulerName"]:
            yield required(here / "schedulerName")
        yield from _percentage(profile.get("percentageOfNodesToScore"), here / "percentageOfNodesToScore")
        yield from _removed_plugins(profile.get("plugins") or {}, here / "plugins")
        yield from _plugin_config(profile["pluginConfig"], here / "pluginConfig")
        if profile["schedulerName"] in seen:
            yield duplicate(
                here / "schedulerName", str(path % seen[profile["schedulerName"]] / "schedulerName")
            )
        seen[profile["schedulerName"]] = number
    yield from _queue_sort(profiles, path)


def _removed_plugins(plugins: Object, path: FieldPath) -> Iterator[FieldError]:
    for point in POINTS:
        for number, entry in enumerate((plugins.get(point) or {}).get("enabled") or ()):
            if entry["name"] in REMOVED:
                yield _removed(path / point / "enabled" % number, entry["name"])


def _removed(path: FieldPath, name: str) -> FieldError:
    version = "kubescheduler.config.k8s.io/v1"
    detail = f'was invalid in version "v1" (KubeSchedulerConfiguration is version "{version}")'
    return invalid(path, name, detail)


def _plugin_config(configs: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, config in enumerate(configs):
        name, here = config["name"], path % number
        if name in seen:
            yield duplicate(here, name)
        seen.add(name)
        if name in REMOVED:
            yield _removed(here, name)
        elif name in CHECKS:
            yield from CHECKS[name](config.get("args") or {}, here / "args")


def _queue_sort(profiles: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    sets = [(profile.get("plugins") or {}).get("queueSort") or {} for profile in profiles]
    enabled = sets[0].get("enabled") or ()
    if len(enabled) > 1:
        detail = "only one queue sort plugin can be enabled"
        yield invalid(path % 0 / "plugins" / "queueSort" / "Enabled", len(enabled), detail)
    for number, other in enumerate(sets):
        if other != sets[0]:
            yield invalid(path % number / "plugins" / "queueSort", other, "must be the same for all profiles")


# ---- arguments of plugins


def _default_preemption(args: Object, path: FieldPath) -> Iterator[FieldError]:
    share, least = args["minCandidateNodesPercentage"], args["minCandidateNodesAbsolute"]
    if not 0 <= share <= 100:
        yield invalid(path / "minCandidateNodesPercentage", share, "not in valid range [0, 100]")
    if least < 0:
        yield invalid(path / "minCandidateNodesAbsolute", least, "not in valid range [0, inf)")
    if share == 0 and least == 0:
        yield invalid(
            path / "minCandidateNodesPercentage", share,
            "cannot be zero at the same time as minCandidateNodesAbsolute",
        )  # fmt: skip
        yield invalid(
            path / "minCandidateNodesAbsolute", least,
            "cannot be zero at the same time as minCandidateNodesPercentage",
        )  # fmt: skip


def _inter_pod_affinity(args: Object, path: FieldPath) -> Iterator[FieldError]:
    if not 0 <= args["hardPodAffinityWeight"] <= 100:
        yield invalid(
            path / "hardPodAffinityWeight", args["hardPodAffinityWeight"], "not in valid range [0, 100]"
        )


def _node_affinity(args: Object, path: FieldPath) -> Iterator[FieldError]:
    added = args.get("addedAffinity") or {}
    required_terms = (added.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get(
        "nodeSelectorTerms"
    ) or ()
    preferred = added.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    for name, terms in (
        ("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", required_terms),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            [one.get("preference") or {} for one in preferred],
        ),
    ):
        for number, term in enumerate(terms):
            here = path / "addedAffinity" / name % number / "matchExpressions"
            for place, expression in enumerate(term.get("matchExpressions") or ()):
                try:
                    labels.requirement_of(expression)
                except ValueError as error:
                    yield invalid(here % place / "operator", expression.get("operator"), str(error))


def _balanced_allocation(args: Object, path: FieldPath) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, resource in enumerate(args["resources"]):
        here = path / "resources" % number
        if resource["name"] in seen:
            yield duplicate(here / "name", resource["name"])
        seen.add(resource["name"])
        if resource["weight"] != 1:
            yield invalid(here / "weight", resource["weight"], "must be 1")


def _resources_fit(args: Object, path: FieldPath) -> Iterator[FieldError]:
    yield from _label_names(args.get("ignoredResources") or (), path / "ignoredResources")
    for number, group in enumerate(args.get("ignoredResourceGroups") or ()):
        if "/" in group:
            yield invalid(
                path / "ignoredResourceGroups" % number, group, "resource group name can't contain '/'"
            )
    yield from _label_names(args.get("ignoredResourceGroups") or (), path / "ignoredResourceGroups")
    strategy, here = args["scoringStrategy"], path / "scoringStrategy"
    if strategy["type"] not in STRATEGIES:
        yield not_supported(here / "type", strategy["type"], STRATEGIES)
    for number, resource in enumerate(strategy["resources"]):
        if not 0 < resource["weight"] <= 100:
            detail = f"resource weight of {resource['name']} not in valid range (0, 100]"
            yield invalid(here / "resources" % number / "weight", resource["weight"], detail)
    ratio = strategy.get("requestedToCapacityRatio")
    if strategy["type"] != "RequestedToCapacityRatio":
        if ratio is not None:
            detail = "must be nil when type is not RequestedToCapacityRatio"
            yield forbidden(here / "requestedToCapacityRatio", detail)
    elif ratio is None:
        detail = "must be specified when type is RequestedToCapacityRatio"
        yield required(here / "requestedToCapacityRatio", detail)
    else:
        yield from _shape(ratio.get("shape") or (), here / "requestedToCapacityRatio" / "shape")


def _label_names(found: Iterable[str], path: FieldPath) -> Iterator[FieldError]:
    for number, name in enumerate(found):
        for text in names.qualified_name_errors(name):
            yield invalid(path % number, name, text)


def _shape(shape: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    if not shape:
        yield required(path, "at least one point must be specified")
    for number in range(1, len(shape)):
        if shape[number - 1]["utilization"] >= shape[number]["utilization"]:
            detail = "values must be sorted in increasing order"
            yield invalid(path % number / "utilization", shape[number]["utilization"], detail)
            break
    for number, point in enumerate(shape):
        for name, most in (("utilization", 100), ("score", 10)):
            if not 0 <= point.get(name, 0) <= most:
                yield invalid(path % number / name, point[name], f"not in valid range [0, {most}]")


def _topology_spread(args: Object, path: FieldPath) -> Iterator[FieldError]:
    constraints, kind = args.get("defaultConstraints") or (), args["defaultingType"]
    if kind not in ("System", "List"):
        yield not_supported(path / "defaultingType", kind, ("System", "List"))
    elif kind == "System" and constraints:
        yield invalid(path / "defaultingType", kind, "when .defaultConstraints are not empty")
    seen: set[tuple[str, str]] = set()
    for number, constraint in enumerate(constraints):
        here = path / "defaultConstraints" % number
        key, action = constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
        if constraint.get("maxSkew", 0) <= 0:
            yield invalid(here / "maxSkew", constraint.get("maxSkew", 0), "not in valid range (0, inf)")
        if not key:
            yield required(here / "topologyKey", "can not be empty")
        if not action:
            yield required(here / "whenUnsatisfiable", "can not be empty")
        elif action not in ACTIONS:
            yield not_supported(here / "whenUnsatisfiable", action, ACTIONS)
        if constraint.get("labelSelector") is not None:
            detail = "constraint must not define a selector, as they deduced for each pod"
            yield forbidden(here / "labelSelector", detail)
        if (key, action) in seen:
            yield duplicate(here, f"{{{key}, {action}}}")
        seen.add((key, action))


def _volume_binding(args: Object, path: FieldPath) -> Iterator[FieldError]:
    if args["bindTimeoutSeconds"] < 0:
        detail = "invalid BindTimeoutSeconds, should not be a negative value"
        yield invalid(path / "bindTimeoutSeconds", args["bindTimeoutSeconds"], detail)
    if args.get("shape") is not None:
        detail = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
        yield invalid(path / "shape", args["shape"], detail)


def _dynamic_resources(args: Object, path: FieldPath) -> Iterator[FieldError]:
    if parse_duration(str(args["filterTimeout"])) < 0:
        yield invalid(path / "filterTimeout", args["filterTimeout"], "must be zero or positive")
    if parse_duration(str(args["bindingTimeout"])) < 1.0:
        yield invalid(path / "bindingTimeout", args["bindingTimeout"], "must be at least 1 second")


CHECKS: Mapping[str, Callable[[Object, FieldPath], Iterator[FieldError]]] = {
    "DefaultPreemption": _default_preemption,
    "DynamicResources": _dynamic_resources,
    "InterPodAffinity": _inter_pod_affinity,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced_allocation,
    "NodeResourcesFit": _resources_fit,
    "PodTopologySpread": _topology_spread,
    "VolumeBinding": _volume_binding,
}


# ---- extenders


def _extenders(extenders: Sequence[Object], path: FieldPath) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, extender in enumerate(extenders):
        here = path % number
        if extender.get("prioritizeVerb") and (extender.get("weight") or 0) <= 0:
            detail = "must have a positive weight applied to it"
            yield invalid(here / "weight", extender.get("weight") or 0, detail)
        for place, resource in enumerate(extender.get("managedResources") or ()):
            name = resource["name"]
            yield from _extended_name(name, here / "managedResources" % place / "name")
            if name in seen:
                detail = "duplicate extender managed resource name"
                yield invalid(here / "managedResources" % place / "name", name, detail)
            seen.add(name)
    binders = sum(1 for extender in extenders if extender.get("bindVerb"))
    if binders > 1:
        detail = "only one extender can implement bind"
        yield invalid(path, f"found {binders} extenders implementing bind", detail)


def _extended_name(name: str, path: FieldPath) -> Iterator[FieldError]:
    wrong = names.qualified_name_errors(name)
    for text in wrong:
        yield invalid(path, name, text)
    if not wrong and not is_extended(name):
        yield invalid(path, name, "is an invalid extended resource name")
