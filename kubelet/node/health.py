"""Is the node fit for pods? The runtime, its network and the list of what runs are asked."""

from __future__ import annotations

from collections.abc import Callable

from kubelet.node.status import Health
from kubelet.runtime.interface import ContainerRuntimeError, Runtime, RuntimeCondition


class HealthCheck:
    """Looks when it is asked; the last answer stays in `last`."""

    def __init__(self, runtime: Runtime, *, pleg: Callable[[], str], shutdown: Callable[[], str]) -> None:
        self._runtime = runtime
        self._pleg = pleg
        self._shutdown = shutdown
        self.last = Health(runtime="container runtime status check may not have completed yet")

    async def look(self) -> Health:
        """Ask everybody."""
        runtime, network = "", ""
        try:
            for condition in await self._runtime.conditions():
                if condition.status:
                    continue
                if condition.type == "NetworkReady":
                    network = _complaint("container runtime network", condition)
                else:
                    runtime = _complaint("container runtime", condition)
        except ContainerRuntimeError as error:
            runtime = f"container runtime is down: {error}"
        self.last = Health(runtime, network, self._pleg(), self._shutdown())
        return self.last


def _complaint(who: str, condition: RuntimeCondition) -> str:
    return f"{who} not ready: {condition.type}=false reason:{condition.reason} message:{condition.message}"
