"""How full volumes are: looked at every minute, told at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.volumes.manager import VolumeManager

log = logging.get(__name__)

PERIOD = 60.0  # seconds; upstream's --volume-stats-agg-period
FIRST_LOOK = 10.0


class VolumeUsage:
    """The last look at every pod's volumes, in the words of the summary API."""

    def __init__(self, manager: VolumeManager, clock: Clock, pods: Callable[[], Iterable[Object]]) -> None:
        self._manager = manager
        self._clock = clock
        self._pods = pods
        self._found: dict[str, list[Object]] = {}

    async def run(self) -> None:
        """Look again and again."""
        wait = FIRST_LOOK
        while True:
            await self._clock.sleep(wait)
            wait = PERIOD
            try:
                self._found = {uid_of(pod): await self._of_pod(pod) for pod in list(self._pods())}
            except Exception:
                log.exception("volumes not measured")

    async def _of_pod(self, pod: Object) -> list[Object]:
        moment = time.format_time(self._clock.now())
        return [{"time": moment, **one} for one in await self._manager.usage(pod)]

    def of(self, pod_uid: str) -> list[Object]:
        """One pod's volumes."""
        return self._found.get(pod_uid, [])

    def claims(self) -> Iterable[tuple[Object, Object]]:
        """Every claim that is in use here, and how full its volume is."""
        for volumes in self._found.values():
            for one in volumes:
                if "pvcRef" in one:
                    yield one["pvcRef"], one
