"""Pure: each finished pod is counted once.

A pod carries a finalizer until it is counted. Counting takes three writes, each safe to repeat:

    1. its uid goes into `status.uncountedTerminatedPods` (or its index into `completedIndexes`)
    2. its finalizer goes
    3. its uid becomes a number in `status.succeeded` or `status.failed`

Whoever stops in between starts again where it stopped: a uid that is listed is never listed twice, and a listed pod
without the finalizer is only to be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controller_manager.controllers.workloads.job import indexes
from kubarium.api.batch import job as jobs
from kubarium.apimachinery.object import Object, status_of, uid_of

AT_ONCE = 500
"""Most uids that are listed in one write."""


@dataclass
class Ledger:
    """What has been counted, what is listed, and what has just been found."""

    succeeded: int
    failed: int
    completed: set[int]  # indexes
    listed_succeeded: list[str] = field(default_factory=list)
    listed_failed: list[str] = field(default_factory=list)
    new_succeeded: list[Object] = field(default_factory=list)
    new_failed: list[Object] = field(default_factory=list)

    @property
    def total_succeeded(self) -> int:
        """All that succeeded, counted or not. For indexed jobs the indexes are what counts."""
        return self.succeeded + len(self.listed_succeeded)

    @property
    def total_failed(self) -> int:
        """All that failed, counted or not."""
        return self.failed + len(self.listed_failed)

    def settle(self, still_tracked: set[str]) -> None:
        """Step 3: what is listed and no longer tracked becomes a number."""
        for name in ("succeeded", "failed"):
            listed = getattr(self, f"listed_{name}")
            done = [uid for uid in listed if uid not in still_tracked]
            setattr(self, name, getattr(self, name) + len(done))
            setattr(self, f"listed_{name}", [uid for uid in listed if uid in still_tracked])

    def listing(self) -> Object:
        """`uncountedTerminatedPods`."""
        found: Object = {}
        if self.listed_succeeded:
            found["succeeded"] = sorted(self.listed_succeeded)
        if self.listed_failed:
            found["failed"] = sorted(self.listed_failed)
        return found


def open_ledger(job: Object) -> Ledger:
    """What the stored status says."""
    status = status_of(job)
    listed = status.get("uncountedTerminatedPods") or {}
    return Ledger(
        succeeded=status.get("succeeded") or 0,
        failed=status.get("failed") or 0,
        completed=indexes.parse(status.get("completedIndexes") or "", jobs.completions_of(job)),
        listed_succeeded=list(listed.get("succeeded") or []),
        listed_failed=list(listed.get("failed") or []),
    )


def enter(
    ledger: Ledger, job: Object, tracked: Iterable[Object], ignored: set[str], *, fail_all: bool
) -> list[Object]:
    """Step 1: list pods that have ended; the answer is those whose finalizer may go once that is stored.

    `fail_all`: the job has ended, so pods that still run count as failed. `ignored` are uids of failed pods that the
    failure policy does not count.
    """
    release: list[Object] = []
    for pod in tracked:
        if len(release) >= AT_ONCE:
            break
        uid = uid_of(pod)
        if uid in ledger.listed_succeeded or uid in ledger.listed_failed:
            release.append(pod)
        elif jobs.has_succeeded(pod):
            _enter_success(ledger, job, pod, uid)
            release.append(pod)
        elif jobs.has_failed(pod, job) or fail_all:
            counts = not jobs.is_indexed(job) or _index_counts(job, pod)
            if counts and uid not in ignored:
                ledger.listed_failed.append(uid)
                ledger.new_failed.append(pod)
            release.append(pod)
    return release


def _enter_success(ledger: Ledger, job: Object, pod: Object, uid: str) -> None:
    if not jobs.is_indexed(job):
        ledger.listed_succeeded.append(uid)
        ledger.new_succeeded.append(pod)
        return
    index = jobs.index_of(pod)
    if index is not None and _index_counts(job, pod) and index not in ledger.completed:
        ledger.completed.add(index)
        ledger.new_succeeded.append(pod)
    ledger.succeeded = len(ledger.completed)


def _index_counts(job: Object, pod: Object) -> bool:
    index, completions = jobs.index_of(pod), jobs.completions_of(job)
    return index is not None and completions is not None and index < completions


def tracked(pods: Sequence[Object], already_released: set[str]) -> list[Object]:
    """Pods that wait to be counted; the cache may still show a finalizer that we have taken off."""
    return [pod for pod in pods if jobs.is_tracked(pod) and uid_of(pod) not in already_released]
