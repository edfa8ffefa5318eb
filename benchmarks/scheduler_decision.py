"""How fast pods get nodes when the API server costs nothing: upstream's scheduler_perf shapes on an in-memory client.

    python -m benchmarks.scheduler_decision [--nodes 500 1000 5000] [--pods 2000] [--journal-cost] [shape...]

Each pod is parsed, decided on, assumed and journalled as in the real loop; only requests and the informers'
decoding are left out.
Times are processor time of this one thread, so that a busy machine does not change them much.
With `--journal-cost`, blocks of pods are decided on with and without the journal by turns, on the same cluster, so that
whatever else changes with time is the same for both.
The floor is the least that upstream's CI demands of the original at 5,000 nodes, with its API server.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import random
import resource
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from benchmarks.scheduler_shapes import (
    DEVICES,
    SHAPES,
    WITH_DEVICES,
    claim,
    device_class,
    device_slice,
    node,
    pod,
)
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import RealClock
from scheduler.app import SchedulerApp, calm_collector
from scheduler.configuration import Configuration
from scheduler.framework.interface import CycleState
from scheduler.framework.pod_info import PodInfo

Measure = Callable[[str, int, int], Coroutine[Any, Any, str]]

SIZES = (500, 1000, 5000)  # nodes
CHURN = 10  # with churn, every so many pods a node changes and a pod goes
BLOCK = 20  # pods decided on in the same way, where two ways are compared
WARM_UP = 10  # blocks that do not count


async def measure(shape: str, nodes: int, pods: int, *, journal: bool = True) -> str:
    """Decide on so many pods of one shape; a line of figures."""
    app, objects = cluster(shape, nodes, pods, journal=journal)
    framework, floor, pods = app.profiles["default-scheduler"], SHAPES[shape][1], len(objects)
    seconds: list[float] = []
    for number, obj in enumerate(objects):
        begun = time.process_time()
        if shape == "mixed churn" and number % CHURN == 0:
            churn(app, objects, number, nodes)
        if not await decide(app, framework, obj):
            return f"stopped after {len(seconds)} pods: no node"
        seconds.append(time.process_time() - begun)
    seconds.sort()
    rate = pods / sum(seconds)
    return (
        f"{rate:.0f}/s   p50 {1e6 * seconds[pods // 2]:.0f} us   p99 {1e6 * seconds[int(pods * 0.99)]:.0f} us   "
        f"floor {floor} x{rate / floor:.1f}"
    )


async def journal_cost(shape: str, nodes: int, pods: int) -> str:
    """How much longer decisions take with the journal: the median over pairs of neighbouring blocks."""
    app, objects = cluster(shape, nodes, pods)
    framework, journal = app.profiles["default-scheduler"], app.journal
    ratios: list[float] = []
    without: list[float] = []
    order = random.Random(1)
    blocks = [objects[first : first + BLOCK] for first in range(0, len(objects) - BLOCK + 1, BLOCK)]
    for pair in list(zip(blocks[::2], blocks[1::2], strict=False))[WARM_UP:]:
        took: dict[bool, float] = {}
        for block, keep in zip(pair, order.sample((True, False), 2), strict=True):
            app.journal = app.scheduler._journal = journal if keep else None
            begun = time.process_time()
            for obj in block:
                if not await decide(app, framework, obj):
                    return f"stopped after {len(ratios)} pairs: no node"
            took[keep] = (time.process_time() - begun) / BLOCK
        ratios.append(took[True] / took[False] - 1)
        without.append(took[False])
    return (
        f"{1e6 * statistics.median(without):.0f} us a pod without the journal, "
        f"{100 * statistics.median(ratios):+.1f} % with it ({len(ratios)} pairs)"
    )


def cluster(shape: str, nodes: int, pods: int, *, journal: bool = True) -> tuple[SchedulerApp, list[Object]]:
    """A scheduler with its cluster, and so many pods of one shape, or as many as there is room for."""
    app = SchedulerApp(FakeAPI().client(), Configuration(), RealClock(), keep_journal=journal)
    prepare(app, shape, nodes, pods)
    if shape == "preemption":
        pods = min(pods, nodes // 2)
    if shape in WITH_DEVICES:
        pods = min(pods, nodes * DEVICES // 2)
    objects = [SHAPES[shape][0](number) for number in range(pods)]
    calm_collector()
    return app, objects


def prepare(app: SchedulerApp, shape: str, nodes: int, pods: int) -> None:
    """The cluster before the pods come."""
    app.nodes.counts.set_namespace("default", {"team": "devops"})
    for number in range(nodes):
        app.cache.put_node(node(number))
    if shape == "preemption":
        for number in range(nodes * 4):
            app.cache.put_pod(pod(f"low{number}", cpu="900m", nodeName=f"node-{number % nodes}"))
    if shape in WITH_DEVICES:
        show(app, "deviceclasses", [device_class()])
        show(app, "resourceslices", [device_slice(number) for number in range(nodes)])
        show(app, "resourceclaims", [claim(number) for number in range(pods)])


def show(app: SchedulerApp, plural: str, objects: Sequence[Object]) -> None:
    """Put objects into an informer, as its watch would."""
    informer = app.informers.informer("resource.k8s.io/v1", plural)
    for obj in objects:
        informer._change(obj)


def churn(app: SchedulerApp, objects: Sequence[Object], number: int, nodes: int) -> None:
    """A node's labels change, and a pod that was placed is deleted."""
    changed = node(number % nodes)
    changed["metadata"]["labels"]["turn"] = str(number)
    app.cache.put_node(changed)
    if number >= CHURN:
        app.cache.remove_pod(objects[number - CHURN])


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
    if framework.reserve(state, info, choice.node) is not None:
        return False
    if app.journal is not None:
        app.journal.write(info, app.clock.monotonic(), choice)
    return True


def measure_all(
    sizes: Sequence[int], pods: int, shapes: Sequence[str], how: Measure = measure
) -> list[tuple[str, str]]:
    """One figure for each shape and size, and the memory of all that."""
    found = []
    for nodes in sizes:
        for shape in shapes:
            result = asyncio.run(how(shape, nodes, pods))
            found.append((f"decide, {nodes} nodes: {shape}", result))
            print(f"{found[-1][0]:58s} {result}", flush=True)
            gc.unfreeze()  # the next shape must not inherit the last one's cluster
            gc.collect()
    memory = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    return [*found, ("decide: memory", memory)]


def main() -> None:
    """Read arguments and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--no-journal", action="store_true")
    parser.add_argument("--journal-cost", action="store_true")
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    how: Measure = functools.partial(measure, journal=not options.no_journal)
    if options.journal_cost:
        how = journal_cost
    found = measure_all(options.nodes, options.pods, options.shapes, how)
    print(*found[-1])


if __name__ == "__main__":
    main()
