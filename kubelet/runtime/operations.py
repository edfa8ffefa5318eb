"""How often the kubelet asked its container runtime for what, and how long that took.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/ (kubelet_runtime_operations_*)
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import cache

from kubarium.component_base.metrics import Counts, Timings
from kubelet.runtime.interface import ContainerRuntimeError

LABELS = ("operation_type",)
TOTAL = Counts(
    "kubelet_runtime_operations_total", "Cumulative number of runtime operations by operation type.", LABELS
)
ERRORS = Counts(
    "kubelet_runtime_operations_errors_total",
    "Cumulative number of runtime operation errors by operation type.",
    LABELS,
)
SECONDS = Timings(
    "kubelet_runtime_operations_duration_seconds",
    "Duration in seconds of runtime operations. Broken down by operation type.",
    LABELS,
    [0.005 * 2.5**power for power in range(14)],
)


@cache
def name_of(method: str) -> str:
    """A method of the CRI by the name that upstream counts it under: `RunPodSandbox` is `run_podsandbox`."""
    if method == "UpdateContainerResources":
        return "update_container"
    words = re.findall("[A-Z][a-z]*", method.replace("PodSandbox", "Podsandbox"))
    return "_".join(word.lower() for word in words)


@contextlib.contextmanager
def counted(method: str) -> Iterator[None]:
    """Count what the block asks for, and how it ends."""
    labels = (name_of(method),)
    TOTAL.add(labels)
    try:
        with SECONDS.timed(labels):
            yield
    except ContainerRuntimeError:
        ERRORS.add(labels)
        raise
