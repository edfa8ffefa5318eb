"""What kubelets report, and the use that follows from two samples. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_LINE = re.compile(r"^(\w+)(?:\{([^}]*)\})?\s+(\S+)(?:\s+(\d+))?$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """CPU seconds used so far, and memory in use, at one moment."""

    moment: float  # seconds since the epoch
    cpu_seconds: float
    memory_bytes: float


class Usage(NamedTuple):
    """What is in use: nanocores over a window, and bytes."""

    moment: float
    window: float  # seconds
    nanocores: int
    memory_bytes: int


class ContainerKey(NamedTuple):
    """One container of one pod."""

    namespace: str
    pod: str
    container: str


@dataclass
class NodeSamples:
    """One scrape of one kubelet."""

    node: Sample | None = None
    containers: dict[ContainerKey, Sample] = field(default_factory=dict)


def parse(text: str, now: float) -> NodeSamples:
    """Read `/metrics/resource`. Lines without a time stamp are of `now`."""
    cpu: dict[ContainerKey | None, tuple[float, float]] = {}
    memory: dict[ContainerKey | None, float] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, labels, value, stamp = match.groups()
        moment = int(stamp) / 1000 if stamp else now
        if name in ("node_cpu_usage_seconds_total", "node_memory_working_set_bytes"):
            key: ContainerKey | None = None
        elif name in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
            found = dict(_LABEL.findall(labels or ""))
            key = ContainerKey(found.get("namespace", ""), found.get("pod", ""), found.get("container", ""))
        else:
            continue
        if "cpu" in name:
            cpu[key] = (moment, float(value))
        else:
            memory[key] = float(value)
    samples = {key: Sample(*cpu[key], memory[key]) for key in cpu if key in memory}
    node = samples.pop(None, None)
    return NodeSamples(node, {key: sample for key, sample in samples.items() if key is not None})


def usage(before: Sample, after: Sample) -> Usage | None:
    """The use between two samples; None if they do not belong together (a restart, the same moment)."""
    window = after.moment - before.moment
    if window <= 0 or after.cpu_seconds < before.cpu_seconds:
        return None
    nanocores = int((after.cpu_seconds - before.cpu_seconds) / window * 1e9)
    return Usage(after.moment, window, nanocores, int(after.memory_bytes))


class Samples:
    """The last two scrapes of every node."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[NodeSamples | None, NodeSamples]] = {}

    def put(self, node: str, samples: NodeSamples) -> None:
        """A new scrape; one with the same time stamps as the last replaces it."""
        known = self._nodes.get(node)
        if known is None:
            self._nodes[node] = (None, samples)
        elif (
            known[1].node is not None
            and samples.node is not None
            and samples.node.moment <= known[1].node.moment
        ):
            self._nodes[node] = (known[0], samples)
        else:
            self._nodes[node] = (known[1], samples)

    def forget(self, node: str) -> None:
        """The node is gone."""
        self._nodes.pop(node, None)

    def node(self, name: str) -> Usage | None:
        """The use of a node."""
        before, after = self._nodes.get(name, (None, None))
        if before is None or after is None or before.node is None or after.node is None:
            return None
        return usage(before.node, after.node)

    def pod(self, node: str, namespace: str, name: str) -> dict[str, Usage]:
        """The use of the containers of a pod, by name; those without two samples are left out."""
        before, after = self._nodes.get(node, (None, None))
        if before is None or after is None:
            return {}
        found = {}
        for key, sample in after.containers.items():
            if (key.namespace, key.pod) == (namespace, name) and key in before.containers:
                used = usage(before.containers[key], sample)
                if used is not None:
                    found[key.container] = used
        return found
