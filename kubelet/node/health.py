"""Is the node fit for pods? The runtime, its network and the list of what runs are asked."""

from __future__ import annotations

from collections.abc import Callable

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.node.status import Health
from kubelet.runtime.interface import ContainerRuntimeError, Runtime, RuntimeCondition

log = logging.get(__name__)

MAY_BE_SILENT = 30.0  # seconds: a runtime that is started again meanwhile leaves the node ready, as upstream


class HealthCheck:
    """Looks when it is asked; the last answer stays in `last`."""

    def __init__(
        self, runtime: Runtime, clock: Clock, *, pleg: Callable[[], str], shutdown: Callable[[], str]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._answered: float | None = None
        self._pleg = pleg
        self._shutdown = shutdown
        self.last = Health(runtime="container runtime status check may not have completed yet")

    async def look(self) -> Health:
        """Ask everybody."""
        runtime, network = self.last.runtime, self.last.network
        try:
            conditions = await self._runtime.conditions()
        except ContainerRuntimeError as error:
            log.debug("the container runtime does not tell its status: %s", error)
            now = self._clock.monotonic()
            if self._answered is not None and now - self._answered >= MAY_BE_SILENT:
                runtime = "container runtime is down"
        else:
            self._answered = self._clock.monotonic()
            runtime, network = _complaints(conditions)
        self.last = Health(runtime, network, self._pleg(), self._shutdown())
        return self.last


def _complaints(conditions: list[RuntimeCondition]) -> tuple[str, str]:
    """What is wrong with the runtime, and with its network."""
    runtime, network = "", ""
    for condition in conditions:
        if condition.status:
            continue
        if condition.type == "NetworkReady":
            network = _complaint("container runtime network", condition)
        else:
            runtime = _complaint("container runtime", condition)
    return runtime, network


def _complaint(who: str, condition: RuntimeCondition) -> str:
    return f"{who} not ready: {condition.type}=false reason:{condition.reason} message:{condition.message}"
