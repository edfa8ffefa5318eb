"""Devices: taints that drive pods away, and how long a claim may stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kubarium.api.resource import device, resource_slice
from kubarium.apimachinery.object import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def piece(generation: int, *devices: Object) -> Object:
    return {"spec": {"pool": {"generation": generation}, "devices": list(devices)}}


def test_a_device_is_found_in_the_newest_generation_of_its_pool() -> None:
    old, new = {"name": "a", "taints": [{"key": "k"}]}, {"name": "a"}
    assert device.find([piece(1, old), piece(2, new)], "a") is new
    assert device.find([piece(1, old), piece(2)], "a") == {}


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0),
        ([{"key": "other", "operator": "Exists"}], 0),
        ([{"key": "k", "operator": "Exists"}], None),
        ([{"operator": "Exists", "tolerationSeconds": 30}], 30),
        ([{"operator": "Exists", "tolerationSeconds": 30}, {"key": "k", "operator": "Exists"}], 30),
        ([{"operator": "Exists", "effect": "NoSchedule"}], 0),
    ],
)
def test_patience_ends_at_the_shortest_matching_time(tolerations: list[Object], seconds: int | None) -> None:
    taint = {"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    end = device.end_of_patience(taint, tolerations, NOW + timedelta(hours=1))
    assert end == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_taints_get_the_time_at_which_they_came() -> None:
    known = {"key": "k", "effect": "NoExecute", "timeAdded": "2025-01-01T00:00:00Z"}
    offered = piece(1, {"name": "a", "taints": [dict(known), {"key": "l", "effect": "NoSchedule"}]})
    resource_slice.stamp_taints(offered, "2026-01-01T00:00:00Z")
    times = [taint["timeAdded"] for taint in offered["spec"]["devices"][0]["taints"]]
    assert times == ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]
