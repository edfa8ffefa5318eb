"""How long new pods take to start: told at the moment when the API server first shows them running.

    total   from the pod's creation
    SLI     without the time for images and init containers; pods that wait for storage of their own do not count
Source: https://github.com/kubernetes/community/blob/master/sig-scalability/slos/pod_startup_latency.md
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.static import is_mirror
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, metadata_of, spec_of, status_of
from kubelet import metrics

OF_THE_NODE = ("secret", "configMap", "downwardAPI", "emptyDir", "projected")


def observe(pod: Object, status: Object, now: datetime, pulling: float) -> None:
    """`pod` is as the API server had it, `status` what it has been told now; `pulling` are seconds."""
    shown, made = status_of(pod).get("phase"), metadata_of(pod).get("creationTimestamp")
    if shown != pod_status.PENDING or status.get("phase") != pod_status.RUNNING or is_mirror(pod) or not made:
        return
    total = (now - time.parse_time(made)).total_seconds()
    metrics.POD_START_TOTAL_SECONDS.observe((), total)
    if not _has_storage(pod):
        init = sum(_seconds(status.get("initContainerStatuses") or []))
        metrics.POD_START_SLI_SECONDS.observe((), max(0.0, total - pulling - init))


def _has_storage(pod: Object) -> bool:
    return any(
        not any(volume.get(kind) is not None for kind in OF_THE_NODE)
        for volume in spec_of(pod).get("volumes") or []
    )


def _seconds(statuses: Iterable[Object]) -> Iterable[float]:
    for one in statuses:
        ended = (one.get("state") or {}).get("terminated") or {}
        if ended.get("startedAt") and ended.get("finishedAt"):
            yield (time.parse_time(ended["finishedAt"]) - time.parse_time(ended["startedAt"])).total_seconds()
