"""What the kubelet says about its node."""

from __future__ import annotations

from kubelet.node import facts, status
from kubelet.options import Options


def test_what_others_count_stays() -> None:
    capacity = {
        "cpu": "2",
        "example.com/gpu": "4",
        "attachable.kubernetes.io/disks": "3",
        "hugepages-2Mi": "0",
    }
    assert status.extended_of({"status": {"capacity": capacity}}) == {"example.com/gpu": "4"}
    assert status.extended_of({}) == {}


def test_storage_that_is_not_managed_is_nobodys() -> None:
    options = Options(hostname_override="n", node_ip="192.0.2.1", local_storage_capacity_isolation=False)
    found = facts.gather(options, "")
    capacity = status.capacity(found)
    assert "ephemeral-storage" not in capacity | status.allocatable(found, capacity)
