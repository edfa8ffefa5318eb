"""Asks etcd to forget what is older than five to ten minutes.

Several API servers take turns: whoever first changes the marker in an interval compacts, to the revision that the
marker got an interval ago. Upstream does the same under the same key, `compact_rev_key`.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.interface import StorageError
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

INTERVAL = 300.0  # seconds, upstream's --etcd-compaction-interval
MARKER = "compact_rev_key"
SEEN_MARKER = "/registry/compact_rev_key"
"""Put together with the marker, so that the watch on `/registry/` learns of the revision that the marker takes."""


class Compactor:
    """One loop; `on_compacted` is told up to where etcd has forgotten."""

    def __init__(
        self,
        client: EtcdClient,
        clock: Clock,
        on_compacted: Callable[[int], None],
        interval: float = INTERVAL,
    ) -> None:
        self._client = client
        self._clock = clock
        self._on_compacted = on_compacted
        self._interval = interval
        self._marked_at = 0  # revision at which the marker was last changed
        self._target = 0  # etcd's revision at that time: what may be forgotten next

    async def run(self) -> None:
        """Compact for ever."""
        while True:
            try:
                await self.step()
            except StorageError as error:
                log.warning("compaction failed: %s", error)
            await self._clock.sleep(self._interval)

    async def step(self) -> None:
        """One interval is over: compact, or see that somebody else did."""
        target = self._target
        value = b"%d" % target
        values = {MARKER: value, SEEN_MARKER: value}
        outcome = await self._client.put_together_if(values, MARKER, self._marked_at)
        self._target = outcome.revision
        if not outcome.succeeded:
            if outcome.current is not None:
                self._marked_at = outcome.current.revision
                self._learn(outcome.current.value)
            return
        self._marked_at = outcome.revision
        if target:
            await self._client.compact(target)
            log.info("compacted etcd to revision %d", target)
            self._on_compacted(target)

    def _learn(self, value: bytes) -> None:
        if value.isdigit() and int(value):
            self._on_compacted(int(value))
