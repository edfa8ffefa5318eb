from __future__ import annotations

from kubarium.api.core.pod import status


def test_conditions_tell_of_which_generation_they_are() -> None:
    condition = {"type": "PodScheduled", "status": "False"}
    assert status.observed({"metadata": {"generation": 3}}, condition) == {
        **condition,
        "observedGeneration": 3,
    }
    assert status.observed({"metadata": {}}, condition) == condition
