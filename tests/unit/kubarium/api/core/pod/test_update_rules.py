"""What counts as a change of a pod, and what typed clients only write differently."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from kubarium.api.core.pod import defaults, update_rules

Object = dict[str, Any]


def pod() -> Object:
    claim = {"name": "d", "persistentVolumeClaim": {"claimName": "d-0", "readOnly": False}}
    container = {"name": "c", "image": "i", "securityContext": {"allowPrivilegeEscalation": False}}
    spec = {"containers": [container], "volumes": [claim], "hostNetwork": False, "hostUsers": False}
    made: Object = {"metadata": {"name": "p", "namespace": "n"}, "spec": spec}
    defaults.fill(made)
    return made


def test_what_says_nothing_may_be_left_out() -> None:
    """client-go leaves out `readOnly: false`: a change of labels by its PUT is no change of the spec."""
    new = pod()
    del new["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"], new["spec"]["hostNetwork"]
    assert update_rules.validate_update(new, pod()) == []


@pytest.mark.parametrize("path", ["hostUsers", "containers.0.securityContext.allowPrivilegeEscalation"])
def test_pointers_to_false_say_something(path: str) -> None:
    new = deepcopy(pod())
    *way, last = path.split(".")
    place: Any = new["spec"]
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    del place[last]
    assert any(update_rules.FORBIDDEN in str(error) for error in update_rules.validate_update(new, pod()))
