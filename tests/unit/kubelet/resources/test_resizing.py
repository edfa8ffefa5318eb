"""What users are told of a resize, and how often."""

from __future__ import annotations

from kubelet import metrics
from kubelet.resources.allocation import Allocated
from kubelet.resources.resizing import Resizes
from tests.unit.kubelet.making import make_container, make_pod


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, obj: dict, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append((reason, message))

    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.events]


def pod() -> dict:
    made = make_pod(make_container(resources={"requests": {"cpu": "2"}}))
    made["metadata"]["generation"] = 3
    return made


def pending(reason: str, message: str) -> dict:
    return {"type": "PodResizePending", "status": "True", "reason": reason, "message": message}


def test_a_wish_that_waits_is_told_once() -> None:
    told = Told()
    resizes = Resizes(told)
    waits = Allocated(pod(), pending("Deferred", "no cpu"), "OutOfcpu")
    resizes.decided(pod(), waits)
    resizes.decided(pod(), waits)
    summary = '{"containers":[{"name":"main","resources":{"requests":{"cpu":"2"}}}],"generation":3,"error":"no cpu"}'
    assert told.events == [("ResizeDeferred", f"Pod resize OutOfcpu: {summary}")]
    assert resizes.conditions(pod(), []) == [waits.pending]
    resizes.decided(pod(), Allocated(pod(), pending("Infeasible", "never")))
    assert told.reasons() == ["ResizeDeferred", "ResizeInfeasible"]


def test_an_error_stays_until_it_is_overcome() -> None:
    told = Told()
    resizes = Resizes(told)
    resizes.decided(pod(), Allocated(pod(), resized=True))
    resizes.tried(pod(), "too much is used")
    resizes.tried(pod(), "too much is used still")
    (condition,) = resizes.conditions(pod(), ["main"])
    assert (condition["reason"], condition["message"]) == ("Error", "too much is used still")
    assert condition["observedGeneration"] == 3
    resizes.tried(pod(), "")
    assert "reason" not in resizes.conditions(pod(), ["main"])[0]
    assert resizes.conditions(pod(), []) == []
    assert told.reasons() == ["ResizeStarted", "ResizeError", "ResizeCompleted"]


def test_resizes_are_counted() -> None:
    resizes = Resizes(Told())
    before = metrics.INFEASIBLE_RESIZES.value(("insufficient_node_allocatable",))
    never = Allocated(pod(), pending("Infeasible", "never"))
    resizes.decided(pod(), never)
    resizes.decided(pod(), never)
    assert metrics.INFEASIBLE_RESIZES.value(("insufficient_node_allocatable",)) == before + 1
    assert dict(metrics.PENDING_RESIZES.read()) == {("deferred",): 0.0, ("infeasible",): 1.0}
    resizes.decided(pod(), Allocated(pod(), resized=True))
    assert dict(metrics.PENDING_RESIZES.read()) == {("deferred",): 0.0, ("infeasible",): 0.0}
    assert dict(metrics.IN_PROGRESS_RESIZES.read()) == {(): 1.0}
    done = metrics.RESIZE_MILLISECONDS.count(("true",))
    resizes.tried(pod(), "", 0.1)
    assert metrics.RESIZE_MILLISECONDS.count(("true",)) == done + 1
    resizes.conditions(pod(), [])
    assert dict(metrics.IN_PROGRESS_RESIZES.read()) == {(): 0.0}
    resizes.tried(pod(), "", 0.1)
    assert metrics.RESIZE_MILLISECONDS.count(("true",)) == done + 1
