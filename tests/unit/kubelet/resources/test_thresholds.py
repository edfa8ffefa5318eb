from __future__ import annotations

import pytest

from kubelet.resources import thresholds
from kubelet.resources.thresholds import Observation, Watch

MIB = 1 << 20


def test_amounts_and_percentages() -> None:
    observed = {
        "memory.available": Observation(50 * MIB, 1000 * MIB),
        "nodefs.available": Observation(20, 100),
    }
    wanted = thresholds.read({"memory.available": "100Mi", "nodefs.available": "10%", "pid.available": "5%"})
    met = thresholds.met(observed, wanted)
    assert [one.signal for one in met] == ["memory.available"]
    assert met[0].message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
    )


def test_a_soft_threshold_gets_its_time() -> None:
    watch = Watch(thresholds.read({}, {"memory.available": "100"}, {"memory.available": "1m30s"}))
    low, enough = {"memory.available": Observation(50, 1000)}, {"memory.available": Observation(150, 1000)}
    assert [len(found) for found in watch.look(low, 0)] == [1, 0]
    assert [len(found) for found in watch.look(low, 80)] == [1, 0]
    assert [len(found) for found in watch.look(low, 90)] == [1, 1]
    assert watch.look(enough, 95) == ([], [])
    assert [len(found) for found in watch.look(low, 100)] == [1, 0], "the time begins anew"


def test_a_threshold_holds_until_enough_is_won_back() -> None:
    watch = Watch(thresholds.read({"nodefs.available": "10%"}, reclaim={"nodefs.available": "5%"}))

    def due(left: int) -> int:
        return len(watch.look({"nodefs.available": Observation(left, 100)}, 0)[1])

    assert [due(12), due(9), due(12), due(14), due(15), due(12)] == [0, 1, 1, 1, 0, 0]


def test_memory_comes_first() -> None:
    watch = Watch(
        thresholds.read({"pid.available": "10", "nodefs.available": "10", "memory.available": "10"})
    )
    observed = {
        signal: Observation(1, 100) for signal in ("pid.available", "nodefs.available", "memory.available")
    }
    due = watch.look(observed, 0)[1]
    assert [one.signal for one in due] == ["memory.available", "nodefs.available", "pid.available"]


@pytest.mark.parametrize(
    ("hard", "soft", "grace", "reclaim", "words"),
    [
        ({"cpu.available": "1"}, {}, {}, {}, "unrecognized eviction signal cpu.available"),
        (
            {"memory.available": "-1Mi"},
            {},
            {},
            {},
            "eviction threshold memory.available must be positive: -1Mi",
        ),
        ({"memory.available": "101%"}, {}, {}, {}, "must be <= 100%: 101%"),
        (
            {},
            {"memory.available": "1Mi"},
            {},
            {},
            "grace period must be specified for the soft eviction threshold memory.available",
        ),
        ({}, {}, {"memory.available": "-30s"}, {}, "invalid eviction grace period specified: -30s"),
        (
            {},
            {},
            {},
            {"memory.available": "-1"},
            "negative eviction minimum reclaim specified for memory.available",
        ),
    ],
)
def test_what_cannot_be(
    hard: dict[str, str], soft: dict[str, str], grace: dict[str, str], reclaim: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        thresholds.read(hard, soft, grace, reclaim)
    assert thresholds.read({"memory.available": "0%"}) == []
