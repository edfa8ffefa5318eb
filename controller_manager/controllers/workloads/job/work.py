"""What one reconciliation of a job works with, and how a job may end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial

from controller_manager.controllers.workloads.job.finalizers import Ledger
from kubarium.api.batch import job as jobs
from kubarium.apimachinery.object import Object, uid_of


@dataclass(frozen=True)
class Outcome:
    """Why a job ends. `type` is the condition that announces it: FailureTarget or SuccessCriteriaMet."""

    type: str
    reason: str
    message: str


@dataclass
class Pass:
    """What one reconciliation works with.

    `waiting` are the pods that had not been counted when it began. They are never asked for again: while it waits for
    its writes the cache goes on, but the pods here stay as they were, and one would seem to wait once more.
    """

    job: Object
    status: Object
    pods: list[Object]
    waiting: list[Object]
    ledger: Ledger
    active: list[Object] = field(default_factory=list)
    terminating: int = 0
    failed_indexes: set[int] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    outcome: Outcome | None = None
    again: list[float] = field(default_factory=list)
    failure: Exception | None = None

    def fresh_successes(self) -> list[Object]:
        """Pods that have succeeded and are neither counted nor listed."""
        listed = set(self.ledger.listed_succeeded)
        return [pod for pod in self.waiting if jobs.has_succeeded(pod) and uid_of(pod) not in listed]

    @cached_property
    def last_failed(self) -> dict[int, Object]:
        """The last failed pod of each index: it knows how often the index has failed."""
        found: dict[int, Object] = {}
        for pod in filter(partial(jobs.has_failed, job=self.job), self.pods):
            index = jobs.index_of(pod)
            if index is not None:
                found[index] = max(found.get(index, pod), pod, key=_failure)
        return found


def _failure(pod: Object) -> tuple[int, datetime]:
    return sum(jobs.index_failures_of(pod)), jobs.ended_at(pod)
