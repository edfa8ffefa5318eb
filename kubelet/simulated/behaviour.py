"""What a simulated pod does, as its annotations tell, and which images exist. Pure.

simulated.kubarium.io/start-seconds   from the binding to the start of the first container (0)
simulated.kubarium.io/init-seconds    how long each init container runs (0)
simulated.kubarium.io/run-seconds     how long the containers run before they end by themselves
                                      (until they are stopped; containers of a Job: --job-duration)
simulated.kubarium.io/exit-code       with what they end then (0)
simulated.kubarium.io/stop-seconds    how long they need to end when they are asked to (0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kubarium.apimachinery import owners
from kubarium.apimachinery.object import Object, annotations_of

PREFIX = "simulated.kubarium.io/"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All times in seconds."""

    start: float = 0.0
    init: float = 0.0
    run: float | None = None
    exit_code: int = 0
    stop: float = 0.0


def behaviour_of(pod: Object, job_duration: float = 1.0) -> Behaviour:
    """What is annotated; what cannot be read as a number counts as absent."""
    owner = owners.controller_of(pod)
    of_job = owner is not None and owner.get("kind") == "Job"
    run = _number(pod, "run-seconds")
    return Behaviour(
        start=_number(pod, "start-seconds") or 0.0,
        init=_number(pod, "init-seconds") or 0.0,
        run=run if run is not None else job_duration if of_job else None,
        exit_code=int(_number(pod, "exit-code") or 0),
        stop=_number(pod, "stop-seconds") or 0.0,
    )


def _number(pod: Object, name: str) -> float | None:
    try:
        return max(0.0, float(annotations_of(pod)[PREFIX + name]))
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Registry:
    """Which images there are."""

    known: Sequence[str] = ("*",)
    unknown: Sequence[str] = ()

    def has(self, image: str) -> bool:
        """Does an image of that name exist?"""
        if any(fnmatchcase(image, pattern) for pattern in self.unknown):
            return False
        return any(fnmatchcase(image, pattern) for pattern in self.known)
