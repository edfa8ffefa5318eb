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


CONTAINER = {
    "name": "c", "image": "busybox", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
    "terminationMessagePath": "/dev/termination-log",
}  # fmt: skip


def plain(**spec: Any) -> Object:
    given = {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30}
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {**given, "schedulerName": "default-scheduler", "containers": [CONTAINER], **spec},
    }


def told(old: Object, new: Object) -> list[str]:
    return [str(error) for error in update_rules.validate_update(new, old)]


def test_other_changes_are_shown_as_lines_of_the_internal_type() -> None:
    """The lines are those that v1.36.2 prints for these pods."""
    lines = [
        "@@ -40,7 +40,8 @@",
        '  "ActiveDeadlineSeconds": null,',
        '  "DNSPolicy": "ClusterFirst",',
        '  "NodeSelector": {',
        '-  "a": "b"',
        '+  "a": "b",',
        '+  "c": "d"',
        "  },",
        '  "ServiceAccountName": "",',
        '  "AutomountServiceAccountToken": null,',
        "",
    ]
    (error,) = told(plain(nodeSelector={"a": "b"}), plain(nodeSelector={"a": "b", "c": "d"}))
    assert error == f"spec: Forbidden: {update_rules.FORBIDDEN}\n" + "\n".join(lines)


def test_what_the_internal_type_keeps_elsewhere_is_shown_there() -> None:
    image = [{**CONTAINER, "image": "other"}]
    (error,) = told(plain(), plain(hostNetwork=True, containers=image, activeDeadlineSeconds=5))
    changed = [line for line in error.splitlines() if line[:1] in "-+"]
    assert changed == ['-  "HostNetwork": false,', '+  "HostNetwork": true,']


def affinity(*terms: list[Object]) -> Object:
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def test_pods_at_a_gate_may_be_narrowed() -> None:
    a, b = {"key": "a", "operator": "In", "values": ["x"]}, {"key": "b", "operator": "Exists"}
    gate = {"schedulingGates": [{"name": "g"}]}
    place = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    shown_a = '{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["x"]}],"MatchFields":null}'
    shown_b = '{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}'
    old = plain(**gate, affinity=affinity([a]))
    assert told(plain(**gate), old) == []
    assert told(old, plain(**gate, affinity=affinity([a, b]))) == []
    assert told(old, plain(**gate, affinity=affinity([b]))) == [
        f"{place}[0]: Invalid value: {shown_b}: only additions are allowed (no mutations or deletions)"
    ]
    assert told(old, plain(**gate, affinity=affinity([a], [b]))) == [
        f"{place}: Invalid value: [{shown_a},{shown_b}]: "
        "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
    ]
    old = plain(**gate, nodeSelector={"a": "b"})
    assert told(old, plain(**gate, nodeSelector={"a": "b", "c": "d"})) == []
    assert told(old, plain(**gate, nodeSelector={"a": "z", "c": "d"})) == [
        'spec.nodeSelector: Invalid value: {"a":"z","c":"d"}: '
        "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    ]
    assert told(plain(**gate), plain(schedulingGates=[{"name": "g"}, {"name": "h"}])) == [
        "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'h'"
    ]
