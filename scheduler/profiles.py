"""Plugin names -> instances. The default profile is the table below; a configuration may change it.

Order in the table is the order in which filters run: cheap and telling ones first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from kubarium.apimachinery.object import Object
from scheduler.configuration import Configuration, ConfigurationError, ProfileConfig
from scheduler.framework.interface import EventHint, Handle, Plugin
from scheduler.framework.runtime import Framework
from scheduler.plugins.default_binder import DefaultBinder
from scheduler.plugins.default_preemption import DefaultPreemption
from scheduler.plugins.dynamic_resources import DynamicResources
from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from scheduler.plugins.node_name import NodeName
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources_balance import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.node_unschedulable import NodeUnschedulable
from scheduler.plugins.node_volume_limits import NodeVolumeLimits
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.queue_sort import PrioritySort
from scheduler.plugins.scheduling_gates import SchedulingGates
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.plugins.volume_binding import VolumeBinding
from scheduler.plugins.volume_restrictions import VolumeRestrictions
from scheduler.plugins.volume_zone import VolumeZone

DEFAULT_PLUGINS: list[tuple[type[Plugin], float]] = [
    # plugin, weight of its score
    (SchedulingGates, 0),
    (PrioritySort, 0),
    (NodeUnschedulable, 0),
    (NodeName, 0),
    (TaintToleration, 3),
    (NodeAffinity, 2),
    (NodePorts, 0),
    (NodeResourcesFit, 1),
    (VolumeRestrictions, 0),
    (NodeVolumeLimits, 0),
    (VolumeBinding, 0),
    (VolumeZone, 0),
    (PodTopologySpread, 2),
    (InterPodAffinity, 2),
    (DynamicResources, 2),
    (DefaultPreemption, 0),
    (NodeResourcesBalancedAllocation, 1),
    (ImageLocality, 1),
    (DefaultBinder, 0),
    (NodeDeclaredFeatures, 0),
]

POINTS = (
    "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve", "permit",
    "preBind", "bind", "postBind",
)  # fmt: skip

Registry = dict[str, type[Plugin]]


def default_registry() -> Registry:
    """All plugins that come with the scheduler, by name."""
    return {plugin.name: plugin for plugin, _ in DEFAULT_PLUGINS}


def build(
    configuration: Configuration, handle: Handle, registry: Registry | None = None
) -> dict[str, Framework]:
    """One framework for each profile, by scheduler name."""
    known = registry or default_registry()
    found = {}
    ignored = [
        resource["name"]
        for extender in configuration.extenders
        for resource in extender.get("managedResources") or ()
        if resource.get("ignoredByScheduler")
    ]
    for profile in configuration.profiles:
        if ignored:
            fit = dict(profile.plugin_args.get("NodeResourcesFit") or {})
            fit["ignoredResources"] = [*(fit.get("ignoredResources") or ()), *ignored]
            profile = dataclasses.replace(
                profile, plugin_args={**profile.plugin_args, "NodeResourcesFit": fit}
            )
        # A handle of its own: it names the framework that its plugins belong to.
        found[profile.scheduler_name] = build_profile(profile, dataclasses.replace(handle), known)
    return found


def build_profile(profile: ProfileConfig, handle: Handle, registry: Registry) -> Framework:
    """Instances of the plugins that a profile enables, in their order at each point, and the weights of scores."""
    orders, weights = _enabled(profile.plugins)
    names = list(dict.fromkeys(name for order in orders.values() for name in order))
    unknown = [name for name in names if name not in registry]
    if unknown:
        raise ConfigurationError(f"profile {profile.scheduler_name}: plugin {unknown[0]!r} does not exist")
    plugins = {name: registry[name](handle, profile.plugin_args.get(name) or {}) for name in names}
    framework = Framework(profile.scheduler_name, handle, plugins, orders, weights)
    if len(framework.queue_sort_plugins) != 1:
        raise ConfigurationError(f"profile {profile.scheduler_name}: exactly one queue sort plugin is needed")
    if not framework.bind_plugins:
        raise ConfigurationError(f"profile {profile.scheduler_name}: at least one bind plugin is needed")
    return framework


def _enabled(plugins: Object) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Which plugins take part at each point, in order, and the weight of each one's score.

    At a point come first those that the point names of `multiPoint`, as the point orders them; then the rest of
    `multiPoint`; then what only the point names.
    Source: https://kubernetes.io/docs/reference/scheduling/config/#multipoint
    """
    defaults: dict[str, float] = {plugin.name: weight for plugin, weight in DEFAULT_PLUGINS}
    everywhere = _change(defaults, plugins.get("multiPoint") or {})
    weights = dict(everywhere)
    orders = {}
    for point in POINTS:
        change = plugins.get(point) or {}
        gone = {entry["name"] for entry in change.get("disabled") or ()}
        common = [] if "*" in gone else [name for name in everywhere if name not in gone]
        own = [entry["name"] for entry in change.get("enabled") or ()]
        overriding = [name for name in own if name in common]
        rest = [name for name in common if name not in own]
        orders[point] = [*overriding, *rest, *(name for name in own if name not in common)]
        for entry in change.get("enabled") or () if point == "score" else ():
            weights[entry["name"]] = _weight(entry)
    return orders, weights


def _change(enabled: dict[str, float], change: Object) -> dict[str, float]:
    """What is named again stays where it was, with its new weight; what is new comes last."""
    gone = {entry["name"] for entry in change.get("disabled") or ()}
    kept = {} if "*" in gone else {name: weight for name, weight in enabled.items() if name not in gone}
    return kept | {entry["name"]: _weight(entry) for entry in change.get("enabled") or ()}


def _weight(entry: Object) -> float:
    """Whoever names a plugin says its weight; silence is 1, as upstream has it."""
    return float(entry.get("weight") or 1)


def event_hints(frameworks: Iterable[Framework]) -> dict[str, list[EventHint]]:
    """Per plugin, the events that may help pods it refused."""
    hints: dict[str, list[EventHint]] = {}
    for framework in frameworks:
        for plugin in framework.plugins:
            hints.setdefault(plugin.name, []).extend(plugin.events())
    return hints
