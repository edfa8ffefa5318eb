"""Create and delete pods for a controller, and tell the user so by events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kubarium.api.core.pod.template import generate_name_for, pod_from
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client.events import EventRecorder
from kubarium.client.resource import ResourceClient
from kubarium.component_base import logging

log = logging.get(__name__)

BURST = 500
"""Most pods that a controller creates or deletes in one go."""


class PodControl:
    """Writes pods in the name of an owner. `api_version` and `kind` are the owner's."""

    def __init__(self, pods: ResourceClient, events: EventRecorder, api_version: str, kind: str) -> None:
        self._pods = pods
        self._events = events
        self._api_version, self._kind = api_version, kind

    async def create_from(self, owner: Object, template: Object) -> Object:
        """A pod from a template, controlled by the owner, with a generated name."""
        reference = owners.owner_reference_to(owner, api_version=self._api_version, kind=self._kind)
        pod = pod_from(template, reference, generate_name_for(name_of(owner)))
        return await self.create(owner, pod)

    async def create(self, owner: Object, pod: Object) -> Object:
        """A pod as it stands."""
        pod["metadata"]["namespace"] = namespace_of(owner)
        try:
            created = await self._pods.create(pod, namespace_of(owner))
        except errors.StatusError as error:
            if not is_namespace_terminating(error):
                self._events.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        log.debug("%s %s created pod %s", self._kind, logging.name(owner), name_of(created))
        self._events.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return created

    async def delete(self, owner: Object, pod: Object) -> None:
        """Ask for a pod's deletion; one that is gone already counts as deleted. Raises NotFound then."""
        try:
            await self._pods.delete(name_of(pod), namespace_of(pod))
        except errors.NotFound:
            raise
        except errors.StatusError as error:
            self._events.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        log.debug("%s %s deleted pod %s", self._kind, logging.name(owner), name_of(pod))
        self._events.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")


def is_namespace_terminating(error: errors.StatusError) -> bool:
    """Did the API server refuse a creation because the namespace is being deleted?"""
    return any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes())


async def slow_start(count: int, work: Callable[[int], Awaitable[None]]) -> tuple[int, Exception | None]:
    """Do `work(0)` … `work(count - 1)` in batches of 1, 2, 4, …; stop after a batch with a failure.

    A quota that forbids a hundred pods is found out with one refused request instead of a hundred.
    Returns how many succeeded, and the first failure.
    """
    done, size = 0, min(count, 1)
    while size > 0:
        results = await asyncio.gather(*(work(done + i) for i in range(size)), return_exceptions=True)
        failures = failures_in(results)
        done += size - len(failures)
        if failures:
            return done, failures[0]
        size = min(2 * size, count - done)
    return done, None


def failures_in(results: Sequence[object]) -> list[Exception]:
    """The exceptions among gathered results; anything stronger than an `Exception` is raised."""
    found: list[Exception] = []
    for result in results:
        if isinstance(result, Exception):
            found.append(result)
        elif isinstance(result, BaseException):
            raise result
    return found
