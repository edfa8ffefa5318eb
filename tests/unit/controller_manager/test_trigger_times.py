"""From when on the time runs until kube-proxies have carried out what endpoints say."""

from __future__ import annotations

from controller_manager.trigger_times import TriggerTimes, note
from kubarium.apimachinery.object import Object, annotations_of, key_of

SERVICE: Object = {
    "metadata": {"name": "web", "namespace": "here", "creationTimestamp": "2026-01-01T00:00:00Z"}
}


def pod(name: str, since: str = "") -> Object:
    listed = (
        [{"type": "Ready", "status": "True", "lastTransitionTime": f"2026-01-01T{since}Z"}] if since else []
    )
    return {"metadata": {"name": name, "namespace": "here"}, "status": {"conditions": listed}}


def test_the_first_change_since_the_last_look_counts() -> None:
    times = TriggerTimes()
    assert (
        times.since_last_look(SERVICE, [pod("a", "00:00:05")]) == "2026-01-01T00:00:00Z"
    )  # the Service is new
    assert times.since_last_look(SERVICE, [pod("a", "00:00:05"), pod("b")]) == ""
    both = [pod("a", "00:00:09"), pod("b", "00:00:07")]
    assert times.since_last_look(SERVICE, both) == "2026-01-01T00:00:07Z"
    assert times.since_last_look(SERVICE, both) == times.since_last_look(SERVICE, []) == ""
    times.forget(key_of(SERVICE))
    assert times.since_last_look(SERVICE, both) == "2026-01-01T00:00:00Z"


def test_a_moment_replaces_the_one_before() -> None:
    one: Object = {"metadata": {"annotations": {"a": "b"}}}
    note(one, "now")
    assert annotations_of(one) == {"a": "b", "endpoints.kubernetes.io/last-change-trigger-time": "now"}
    note(one, "")
    assert annotations_of(one) == {"a": "b"}
