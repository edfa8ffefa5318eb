"""On any cluster, judging all nodes at once gives the answer of judging them one by one."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from scheduler.app import SchedulerApp
from scheduler.configuration import Configuration
from scheduler.framework.interface import CycleState
from scheduler.framework.pod_info import PodInfo
from tests.unit.scheduler import reference
from tests.unit.scheduler.builders import make_node, make_pod

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
KEYS = st.sampled_from([ZONE, HOSTNAME, "rack"])
APPS = st.sampled_from(["a", "b", "c"])


@st.composite
def selectors(draw: st.DrawFn) -> Object:
    if draw(st.booleans()):
        return {"matchLabels": {"app": draw(APPS)}}
    operator = draw(st.sampled_from(["In", "NotIn"]))
    return {"matchExpressions": [{"key": "app", "operator": operator, "values": [draw(APPS), draw(APPS)]}]}


@st.composite
def terms(draw: st.DrawFn) -> Object:
    term: Object = {"topologyKey": draw(KEYS), "labelSelector": draw(selectors())}
    if draw(st.booleans()):
        term["namespaces"] = draw(st.lists(st.sampled_from(["default", "other"]), min_size=1, unique=True))
    return term


@st.composite
def weighted(draw: st.DrawFn) -> Object:
    return {"weight": draw(st.integers(1, 100)), "podAffinityTerm": draw(terms())}


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Object:
    labels = {}
    for key in (ZONE, "rack"):
        value = draw(st.sampled_from(["", "1", "2", "3"]))
        if value:
            labels[key] = value
    effects = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
    taints = draw(
        st.lists(st.fixed_dictionaries({"key": APPS, "value": APPS, "effect": effects}), max_size=2)
    )
    return make_node(
        name,
        cpu=draw(st.sampled_from(["1", "2", "4"])),
        memory=draw(st.sampled_from(["1Gi", "4Gi"])),
        pods=draw(st.sampled_from(["2", "110"])),
        labels=labels,
        taints=taints if draw(st.booleans()) else [],
        unschedulable=draw(st.integers(0, 9)) == 0,
    )


@st.composite
def pods(draw: st.DrawFn, name: str) -> Object:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    spec: dict[str, Any] = {}
    wanted: Object = {}
    if draw(st.integers(0, 3)) == 0:
        operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))
        values = {"In": ["1", "2"], "NotIn": ["1"], "Gt": ["1"], "Lt": ["3"]}.get(operator, [])
        expression = {"key": draw(st.sampled_from([ZONE, "rack"])), "operator": operator, "values": values}
        wanted["nodeAffinity"] = {required: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    for kind in ("podAffinity", "podAntiAffinity"):
        if draw(st.integers(0, 2)) == 0:
            wanted[kind] = {
                required: draw(st.lists(terms(), max_size=2)),
                preferred: draw(st.lists(weighted(), max_size=2)),
            }
    if wanted:
        spec["affinity"] = wanted
    if draw(st.integers(0, 2)) == 0:
        constraint = st.fixed_dictionaries(
            {
                "topologyKey": KEYS,
                "maxSkew": st.integers(1, 2),
                "whenUnsatisfiable": st.just("DoNotSchedule"),
                "labelSelector": selectors(),
                "minDomains": st.integers(1, 3),
                "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
                "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
            }
        )
        spec["topologySpreadConstraints"] = draw(st.lists(constraint, min_size=1, max_size=2))
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": draw(APPS), "operator": "Exists"}]
    if draw(st.integers(0, 4)) == 0:
        spec["ports"] = [{"containerPort": 80, "hostPort": draw(st.sampled_from([80, 81]))}]
    return make_pod(
        name,
        namespace=draw(st.sampled_from(["default", "other"])),
        cpu=draw(st.sampled_from(["", "100m", "500m"])),
        memory=draw(st.sampled_from(["", "100Mi", "1Gi"])),
        labels={"app": draw(APPS)},
        **spec,
    )


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Object], list[tuple[Object, int]], Object]:
    found = [draw(nodes(f"n{number}")) for number in range(draw(st.integers(1, 6)))]
    count = draw(st.integers(0, 8))
    placed = [(draw(pods(f"p{n}")), draw(st.integers(0, len(found) - 1))) for n in range(count)]
    return found, placed, draw(pods("new"))


async def _build() -> SchedulerApp:
    return SchedulerApp(FakeAPI().client(), Configuration(), FakeClock())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(clusters(), st.randoms(use_true_random=False))
def test_all_at_once_equals_one_by_one(cluster: Any, random: Any) -> None:
    found, placed, new = cluster
    app = asyncio.run(_build())
    framework, table = app.profiles["default-scheduler"], app.nodes
    # Ask once while the cluster is empty, so that counters exist and must keep up with what follows.
    for node in found:
        app.cache.put_node(node)
    framework.find_nodes(CycleState(), PodInfo(new), table)
    gone = make_pod("gone", cpu="500m", labels={"app": "a"}, nodeName=found[0]["metadata"]["name"])
    app.cache.put_pod(gone)
    for pod, number in placed:
        pod["spec"]["nodeName"] = found[number]["metadata"]["name"]
        app.cache.put_pod(pod)
    app.cache.remove_pod(gone)

    info, state = PodInfo(new), CycleState()
    verdict = framework.find_nodes(state, info, table)
    where = [(pod, found[number]) for pod, number in placed]
    for node in found:
        place = table.index[node["metadata"]["name"]]
        expected = reference.refusal(new, node, found, where)
        refused_by = {entry.plugin for entry in verdict.refused if entry.nodes[place]}
        assert refused_by == ({expected} if expected else set()), node["metadata"]["name"]
        assert bool(verdict.feasible[place]) == (not expected)
    if np.count_nonzero(verdict.feasible) < 2:
        return

    plugins = {plugin.name: plugin for plugin in framework.score_plugins}
    _, parts = framework.score(state, info, table, verdict.feasible)
    for node in found:
        place = table.index[node["metadata"]["name"]]
        if not verdict.feasible[place]:
            continue
        here = [pod for pod, other in where if other is node]
        assert parts["NodeResourcesFit"][place] == reference.least_allocated(new, node, here)
        if "NodeResourcesBalancedAllocation" in parts:
            assert (
                abs(parts["NodeResourcesBalancedAllocation"][place] - reference.balance(new, node, here)) <= 1
            )
        if "InterPodAffinity" in parts:
            raw = plugins["InterPodAffinity"].score(state, info, table, verdict.feasible)
            assert raw[place] == reference.affinity_score(new, node, where)
