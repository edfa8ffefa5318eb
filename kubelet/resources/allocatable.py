"""Holds all pods together to what is not reserved, and gives the classes of pods their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.node import machine
from kubelet.resources.cgroups import Cgroups

log = logging.get(__name__)

PERIOD = 60.0  # seconds between looks at the weights


@dataclass(frozen=True, slots=True)
class Reserved:
    """A cgroup outside of Kubernetes' pods, and what is reserved for it."""

    kind: str  # System or Kube
    cgroup: str
    amounts: Mapping[str, str]


class Allocatable:
    """Writes what concerns all pods at once; each pod's own limits are written with the pod."""

    def __init__(
        self,
        cgroups: Cgroups,
        clock: Clock,
        *,
        cpus: int,
        memory: int,
        reserved: dict[str, str],
        enforced: bool,
        others: Sequence[Reserved] = (),
        pods: Callable[[], list[Object]],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._cgroups = cgroups
        self._clock = clock
        self._milli = max(0, cpus * 1000 - quantity.milli_value(reserved.get("cpu", "0")))
        self.memory = max(0, memory - quantity.value(reserved.get("memory", "0")))
        self._pids = reserved.get("pid")
        self._enforced = enforced
        self._others = others
        self._pods = pods
        self._tell = tell

    async def run(self) -> None:
        """Enforce once, then keep the weights of the classes."""
        if self._enforced:
            self._cgroups.enforce_allocatable(self._milli, self.memory)
            if self._pids:
                self._cgroups.enforce_processes(machine.processes()[0] - quantity.value(self._pids))
            self._tell("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
        for other in self._others:
            self._enforce(other)
        while True:
            try:
                self._cgroups.share_by_class(self._pods())
            except Exception:
                log.exception("weights of the classes of pods not written")
            await self._clock.sleep(PERIOD)

    def _enforce(self, other: Reserved) -> None:
        """Whoever wants this limit wants no kubelet that does without, as upstream."""
        try:
            self._cgroups.enforce_reserved(other.cgroup, other.amounts)
        except FileNotFoundError as error:
            text = f'Failed to enforce {other.kind} Reserved Cgroup Limits on "{other.cgroup}": {error}'
            self._tell("Warning", "FailedNodeAllocatableEnforcement", text)
            raise
        text = f"Updated limits on {other.kind.lower()} reserved cgroup {other.cgroup}"
        self._tell("Normal", "NodeAllocatableEnforced", text)
