"""How fast pods get nodes when the API server costs nothing: upstream's scheduler_perf shapes on an in-memory client.

    python -m benchmarks.scheduler_decision [--nodes 5000] [--pods 2000] [shape...]

Each pod is parsed, decided on, assumed and journalled as in the real loop; only requests and the informers'
decoding are left out.
Times are processor time of this one thread, so that a busy machine does not change them much.
The floor is the least that upstream's CI demands of the original at 5,000 nodes, with its API server.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import time
from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import RealClock
from scheduler.app import SchedulerApp, calm_collector
from scheduler.configuration import Configuration
from scheduler.framework.interface import CycleState
from scheduler.framework.pod_info import PodInfo

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node(number: int) -> Object:
    """Four cores, 32 GiB, 110 pods, one of three zones."""
    labels = {HOSTNAME: f"node-{number}", ZONE: f"zone-{number % 3}"}
    status = {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number}", "labels": labels},
        "status": status,
    }


def pod(name: str, *, cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """scheduler_perf's default pod, with more in its spec."""
    container = {
        "name": "pause",
        "image": "pause:3.10",
        "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
    }
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }


def _term(key: str, color: str) -> Object:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"color": color}}}


def _spread(action: str) -> list[Object]:
    selector = {"matchLabels": {"color": "blue"}}
    return [{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": action, "labelSelector": selector}]


def _mixed(number: int) -> Object:
    shapes = ("basic", "node affinity", "preferred affinity", "preferred anti-affinity", "required affinity")
    return SHAPES[shapes[number % len(shapes)]][0](number)


SHAPES: dict[str, tuple[Callable[[int], Object], int]] = {
    # what each pod looks like, and upstream's floor in pods a second
    "basic": (lambda n: pod(f"p{n}"), 680),
    "node affinity": (
        lambda n: pod(
            f"p{n}",
            affinity={
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": ZONE, "operator": "In", "values": ["zone-1", "zone-2"]}
                                ]
                            }
                        ]
                    }
                }
            },
        ),
        220,
    ),
    "topology spread": (
        lambda n: pod(f"p{n}", labels={"color": "blue"}, topologySpreadConstraints=_spread("DoNotSchedule")),
        460,
    ),
    "preferred topology spread": (
        lambda n: pod(f"p{n}", labels={"color": "blue"}, topologySpreadConstraints=_spread("ScheduleAnyway")),
        340,
    ),
    "required affinity": (
        lambda n: pod(
            f"p{n}", labels={"color": "blue"}, affinity={"podAffinity": {REQUIRED: [_term(ZONE, "blue")]}}
        ),
        35,
    ),
    "required anti-affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "green"},
            affinity={"podAntiAffinity": {REQUIRED: [_term(HOSTNAME, "green")]}},
        ),
        60,
    ),
    "preferred affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "red"},
            affinity={"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": _term(HOSTNAME, "red")}]}},
        ),
        90,
    ),
    "preferred anti-affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "yellow"},
            affinity={
                "podAntiAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": _term(HOSTNAME, "yellow")}]}
            },
        ),
        90,
    ),
    "mixed": (_mixed, 140),
    "preemption": (lambda n: pod(f"p{n}", cpu="3", priority=10), 570),
}


async def measure(shape: str, nodes: int, pods: int, *, journal: bool = True) -> str:
    """Decide on so many pods of one shape; a line of figures."""
    make, floor = SHAPES[shape]
    api = FakeAPI()
    app = SchedulerApp(api.client(), Configuration(), RealClock(), keep_journal=journal)
    framework = app.profiles["default-scheduler"]
    for number in range(nodes):
        app.cache.put_node(node(number))
    if shape == "preemption":
        pods = min(pods, nodes // 2)
        for number in range(nodes * 4):
            low = pod(f"low{number}", cpu="900m", nodeName=f"node-{number % nodes}")
            app.cache.put_pod(low)
    objects = [make(number) for number in range(pods)]
    calm_collector()
    seconds: list[float] = []
    for obj in objects:
        begun = time.process_time()
        if not await decide(app, framework, obj):
            return f"{shape:28s} stopped after {len(seconds)} pods: no node"
        seconds.append(time.process_time() - begun)
    seconds.sort()
    rate = pods / sum(seconds)
    return (
        f"{shape:28s} {rate:7.0f} pods/s   p50 {1e6 * seconds[pods // 2]:5.0f} us   "
        f"p99 {1e6 * seconds[int(pods * 0.99)]:6.0f} us   floor {floor:4d}   x{rate / floor:.1f}"
    )


async def decide(app: SchedulerApp, framework: Any, obj: Object) -> bool:
    """One pod's scheduling cycle; victims of preemption go at once."""
    info, state = PodInfo(obj), CycleState()
    choice = await app.scheduler.choose(framework, state, info)
    if not choice.node:
        gone: list[Any] = []
        framework.handle.spawn = gone.append
        result = await framework.post_filter(state, info, choice.verdict)
        if not result.nominated_node:
            return False
        gone[0].close()  # the deletions themselves are the API server's work
        place = app.nodes.info(result.nominated_node)
        assert place is not None
        for other in [other for other in place.pods.values() if other.priority < info.priority]:
            app.cache.remove_pod(other.pod)
        choice.node = result.nominated_node
    app.cache.assume(info, choice.node)
    if app.journal is not None:
        app.journal.write(
            info,
            app.clock.monotonic(),
            choice.verdict,
            node=choice.node,
            totals=choice.totals,
            parts=choice.parts,
        )
    return True


def main() -> None:
    """Read arguments and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--no-journal", action="store_true")
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    for shape in options.shapes:
        print(
            asyncio.run(measure(shape, options.nodes, options.pods, journal=not options.no_journal)),
            flush=True,
        )
        gc.unfreeze()  # the next shape must not inherit the last one's cluster
        gc.collect()
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
