"""What the kubelet says about its node."""

from __future__ import annotations

from kubelet.node import status


def test_what_others_count_stays() -> None:
    capacity = {
        "cpu": "2",
        "example.com/gpu": "4",
        "attachable.kubernetes.io/disks": "3",
        "hugepages-2Mi": "0",
    }
    assert status.extended_of({"status": {"capacity": capacity}}) == {"example.com/gpu": "4"}
    assert status.extended_of({}) == {}
