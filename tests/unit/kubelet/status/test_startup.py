from __future__ import annotations

import pytest

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubelet import metrics
from kubelet.status import startup
from tests.unit.kubelet.making import make_pod

NOW = time.parse_time("2026-01-01T00:01:00Z")


def seconds(pod: Object, status: Object, pulling: float = 0.0) -> tuple[float, float]:
    """What was added to the total and to the SLI."""
    timings = (metrics.POD_START_TOTAL_SECONDS, metrics.POD_START_SLI_SECONDS)
    before = [timing.total(()) for timing in timings]
    startup.observe(pod, status, NOW, pulling)
    total, sli = (timing.total(()) - old for timing, old in zip(timings, before, strict=True))
    return total, sli


def test_the_sli_leaves_out_what_the_pod_brings_with_it() -> None:
    pod = make_pod(metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    ended = {"terminated": {"startedAt": "2026-01-01T00:00:20Z", "finishedAt": "2026-01-01T00:00:30Z"}}
    status = {"phase": "Running", "initContainerStatuses": [{"name": "first", "state": ended}]}
    assert seconds(pod, status, pulling=15.0) == pytest.approx((60.0, 35.0))
    stored = make_pod(
        metadata=pod["metadata"], volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]
    )
    assert seconds(stored, status) == pytest.approx((60.0, 0.0))
    known = {**pod, "status": {"phase": "Running"}}
    assert seconds(known, status) == seconds(pod, {"phase": "Pending"}) == (0.0, 0.0)
