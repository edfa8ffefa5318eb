"""What of an event may change, and what makes a new one of events.k8s.io/v1 invalid."""

from kubarium.api.core import event
from kubarium.apimachinery.object import Object

EVENT: Object = {
    "metadata": {"name": "e", "namespace": "n"},
    "involvedObject": {"kind": "Pod", "namespace": "n"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "type": "Normal",
    "reason": "Tested",
    "action": "Test",
    "reportingComponent": "tester",
    "reportingInstance": "tester-1",
    "message": "a note",
}


def test_a_note_and_a_series_may_change() -> None:
    series = {"count": 100, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}
    for change in ({"message": "another note"}, {"series": series}, {"reason": "Other", "count": 3}):
        assert event.validate_new_update(EVENT | change, EVENT) == []


def test_a_changed_event_is_still_one_with_a_reason_and_a_source() -> None:
    errors = event.validate_new_update(EVENT | {"reason": "", "reportingComponent": ""}, EVENT)
    assert {str(error.path) for error in errors} == {"reportingController", "reason"}


def test_a_new_event_has_a_type_and_nothing_of_the_older_form() -> None:
    assert event.validate_new(EVENT) == []
    errors = event.validate_new(EVENT | {"type": "", "count": 1, "series": {"count": 1}})
    found = [str(error.path) for error in errors]
    assert found == ["series.count", "series.lastObservedTime", "type", "count"]
