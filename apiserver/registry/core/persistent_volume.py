"""PersistentVolumes: the server notes when their phase changes."""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.registry.strategy import Strategy
from apiserver.request import RequestContext
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, status_of

SINCE = "lastPhaseTransitionTime"


@dataclass(frozen=True)
class PersistentVolumeStrategy(Strategy):
    """`status.lastPhaseTransitionTime` is the server's, unless the writer of a new phase says another time."""

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        obj["status"][SINCE] = time.format_time(context.clock.now())

    def prepare_for_status_update(self, context: RequestContext, new: Object, old: Object) -> None:
        super().prepare_for_status_update(context, new, old)
        status, before = new.setdefault("status", {}), status_of(old)
        if status.get("phase") != before.get("phase"):
            if status.get(SINCE) in (None, before.get(SINCE)):
                status[SINCE] = time.format_time(context.clock.now())
        elif status.get(SINCE) is None and before.get(SINCE) is not None:
            status[SINCE] = before[SINCE]
