"""What pods ask for can be scraped."""

from __future__ import annotations

from scheduler.resource_metrics import page_of
from tests.unit.scheduler.builders import make_pod


async def test_requests_and_limits_in_upstreams_labels() -> None:
    pod = make_pod("web", cpu="250m", memory="1Gi", nodeName="a", priority=5)
    pod["spec"]["containers"][0]["resources"]["limits"] = {"example.com/gpu": "2"}
    done = make_pod("done", cpu="1") | {"status": {"phase": "Succeeded"}}
    status, _, body = await page_of(lambda: [pod, done])({})
    assert status == 200
    head = 'namespace="default",node="a",pod="web",priority="5"'
    tail = 'scheduler="default-scheduler"'
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    assert lines == [
        f'kube_pod_resource_request{{{head},resource="cpu",{tail},unit="cores"}} 0.25',
        f'kube_pod_resource_request{{{head},resource="memory",{tail},unit="bytes"}} 1.073741824e+09',
        f'kube_pod_resource_limit{{{head},resource="example.com/gpu",{tail},unit="integer"}} 2.0',
    ]
