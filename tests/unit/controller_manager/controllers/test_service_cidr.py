"""A range of Service addresses that goes."""

from __future__ import annotations

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster

API = "networking.k8s.io/v1"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"


async def test_a_deleted_range_goes_when_unused_and_when_every_api_server_has_seen_it(
    cluster: Cluster,
) -> None:
    metadata = {"name": "more", "finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    cluster.api.put(
        {"apiVersion": API, "kind": "ServiceCIDR", "metadata": metadata, "spec": {"cidrs": ["172.30.7.0/24"]}}
    )
    cluster.api.put({"apiVersion": API, "kind": "IPAddress", "metadata": {"name": "172.30.7.7"}, "spec": {}})
    await cluster.start("service-cidr-controller")

    def ranges() -> list[Object]:
        return cluster.api.objects(API, "servicecidrs")

    ready = conditions.find(ranges()[0]["status"]["conditions"], "Ready") or {}
    assert (ready["status"], ready["reason"]) == ("False", "Terminating")
    cluster.api.remove(API, "ipaddresses", "", "172.30.7.7")
    await cluster.settle(5)
    assert ranges()
    await cluster.settle(6)
    assert not ranges()
