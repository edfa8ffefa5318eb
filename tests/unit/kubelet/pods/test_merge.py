from __future__ import annotations

from kubarium.apimachinery.object import Object, copy
from kubelet.events import Change, PodAdded, PodReconciled, PodRemoved, PodUpdated
from kubelet.pods.merge import Merge
from tests.unit.kubelet.making import make_pod


def test_what_changed_decides_what_is_said() -> None:
    said: list[Change] = []
    merge = Merge(said.append)
    pod = make_pod()
    merge.put("api", pod)
    merge.put("api", copy(pod))
    status, spec = copy(pod), copy(pod)
    status["status"]["phase"] = "Running"
    spec["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    merge.put("api", status)
    merge.put("api", spec)
    merge.remove("api", spec)
    merge.remove("api", spec)
    assert [type(change) for change in said] == [PodAdded, PodReconciled, PodUpdated, PodRemoved]


def test_a_source_that_lists_all_drops_the_missing() -> None:
    said: list[Change] = []
    merge = Merge(said.append)
    one, two = make_pod(uid="1"), make_pod(uid="2")
    merge.replace("file", [one])
    merge.replace("file", [two])
    assert [(type(change), _uid(change.pod)) for change in said] == [
        (PodAdded, "1"),
        (PodRemoved, "1"),
        (PodAdded, "2"),
    ]


def _uid(pod: Object) -> str:
    uid: str = pod["metadata"]["uid"]
    return uid
