"""On any cluster, judging all nodes at once gives the answer of judging them one by one."""

from __future__ import annotations

import asyncio
import os
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
from tests.unit.scheduler import reference, reference_scores
from tests.unit.scheduler.builders import make_node, make_pod

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
DRIVER = "csi.example.com"
CLAIMS = ["data", "logs", "cache"]
MORE = os.environ.get("EXAMPLES")  # EXAMPLES=5000 pytest ... looks at more clusters, and at others each time
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
        images=draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "names": st.sampled_from([["busybox:1.36"], ["nginx:1"]]),
                        "sizeBytes": st.sampled_from([10, 50_000_000, 900_000_000, 3_000_000_000]),
                    }
                ),
                max_size=2,
                unique_by=lambda image: image["names"][0],
            )
        ),
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
        weights = st.fixed_dictionaries(
            {"weight": st.integers(1, 100), "preference": st.just({"matchExpressions": [expression]})}
        )
        wanted["nodeAffinity"][preferred] = draw(st.lists(weights, max_size=2))
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
                "whenUnsatisfiable": st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
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
        port = {"containerPort": 80, "hostPort": draw(st.sampled_from([80, 81]))}
        port |= draw(
            st.sampled_from([{}, {"protocol": "UDP"}, {"hostIP": "10.0.0.1"}, {"hostIP": "10.0.0.2"}])
        )
        spec["ports"] = [port]
    namespace = draw(st.sampled_from(["default", "other"]))
    if draw(st.integers(0, 3)) == 0:
        disk = {"pdName": draw(APPS), "readOnly": draw(st.booleans())}
        spec["volumes"] = [{"name": "disk", "gcePersistentDisk": disk}]
    if namespace == "default" and draw(st.integers(0, 2)) == 0:
        names = draw(st.lists(st.sampled_from(CLAIMS), min_size=1, max_size=2, unique=True))
        more = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
        spec["volumes"] = [*spec.get("volumes", []), *more]
    if draw(st.booleans()):
        spec["image"] = "nginx:1"
    return make_pod(
        name,
        namespace=namespace,
        cpu=draw(st.sampled_from(["", "100m", "500m"])),
        memory=draw(st.sampled_from(["", "100Mi", "1Gi"])),
        labels={"app": draw(APPS)},
        **spec,
    )


@st.composite
def volumes(draw: st.DrawFn) -> reference.Volumes:
    """Claims that are bound, to volumes that not every node can reach; some nodes take few volumes."""
    found = reference.Volumes()
    for name in CLAIMS:
        mode = draw(st.sampled_from(["ReadWriteOnce", "ReadWriteOncePod"]))
        spec: Object = {"csi": {"driver": DRIVER, "volumeHandle": draw(st.sampled_from([name, "shared"]))}}
        if draw(st.integers(0, 2)) == 0:
            expression = {"key": "rack", "operator": "In", "values": ["1", "2"]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
        zone = draw(st.sampled_from(["", "1", "2__3"]))
        metadata = {"name": f"pv-{name}", "labels": {ZONE: zone} if zone else {}}
        found.volumes[f"pv-{name}"] = {"metadata": metadata, "spec": spec}
        annotations = {"pv.kubernetes.io/bind-completed": "yes"}
        found.claims[name] = {
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {"volumeName": f"pv-{name}", "accessModes": [mode]},
        }
    found.limits = {f"n{number}": 1 for number in range(6) if draw(st.integers(0, 3)) == 0}
    return found


def csi_node(name: str, limit: int) -> Object:
    drivers = [{"name": DRIVER, "nodeID": name, "allocatable": {"count": limit}}]
    return {"metadata": {"name": name}, "spec": {"drivers": drivers}}


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Object], list[tuple[Object, int]], Object]:
    found = [draw(nodes(f"n{number}")) for number in range(draw(st.integers(1, 6)))]
    count = draw(st.integers(0, 8))
    placed = [(draw(pods(f"p{n}")), draw(st.integers(0, len(found) - 1))) for n in range(count)]
    return found, placed, draw(pods("new"))


async def _build() -> SchedulerApp:
    return SchedulerApp(FakeAPI().client(), Configuration(), FakeClock())


def show(app: SchedulerApp, disks: reference.Volumes) -> None:
    """Put the objects about volumes into the informers."""
    for version, plural, objects in (
        ("v1", "persistentvolumes", disks.volumes.values()),
        ("v1", "persistentvolumeclaims", disks.claims.values()),
        ("storage.k8s.io/v1", "csinodes", [csi_node(*entry) for entry in disks.limits.items()]),
    ):
        informer = app.informers.informer(version, plural)
        for obj in objects:
            informer._change(obj)


def agree_on_ranks(
    framework: Any,
    state: CycleState,
    info: PodInfo,
    feasible: Any,
    table: Any,
    found: list[Object],
    where: reference.Placed,
) -> None:
    """The normalized scores of the plugins that rank; where one skips, all nodes must be equal to it."""
    left = [node for node in found if feasible[table.index[node["metadata"]["name"]]]]
    _, parts = framework.score(state, info, table, feasible)
    expected = {
        "TaintToleration": reference_scores.taints(info.pod, left),
        "NodeAffinity": reference_scores.node_affinity(info.pod, left),
        "ImageLocality": reference_scores.images(info.pod, left, found),
        "PodTopologySpread": reference_scores.spread(info.pod, left, found, where),
    }
    for plugin, wanted in expected.items():
        if plugin not in parts:
            assert len(set(wanted)) == 1, plugin
            continue
        got = [
            parts[plugin][table.index[node["metadata"]["name"]]] / framework.weights[plugin] for node in left
        ]
        assert all(abs(one - other) <= 1 for one, other in zip(got, wanted, strict=True)), (
            plugin,
            got,
            wanted,
        )


@settings(max_examples=int(MORE or 150), derandomize=not MORE, suppress_health_check=list(HealthCheck))
@given(clusters(), volumes())
def test_all_at_once_equals_one_by_one(cluster: Any, disks: reference.Volumes) -> None:
    found, placed, new = cluster
    app = asyncio.run(_build())
    show(app, disks)
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
        expected = reference.refusal(new, node, found, where, disks)
        refused_by = {entry.plugin for entry in verdict.refused if entry.nodes[place]}
        assert refused_by == ({expected} if expected else set()), node["metadata"]["name"]
        assert bool(verdict.feasible[place]) == (not expected)
    if np.count_nonzero(verdict.feasible) < 2:
        return

    agree_on_ranks(framework, state, info, verdict.feasible, table, found, where)
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
