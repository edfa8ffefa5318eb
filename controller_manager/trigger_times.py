"""When that happened which a Service's endpoints tell of: kube-proxies measure from there how long they took.

Source: the annotation endpoints.kubernetes.io/last-change-trigger-time, which Endpoints and EndpointSlices carry.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.api.core.pod import status as pod_status
from kubarium.api.discovery.endpoint_slice import LAST_CHANGE
from kubarium.apimachinery.object import Object, ObjectKey, annotations_of, key_of, metadata_of, name_of


class TriggerTimes:
    """What is known of each Service: when its pods last became ready or not. Times of one form compare as text."""

    def __init__(self) -> None:
        self._known: dict[ObjectKey, dict[str, str]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The Service is gone."""
        self._known.pop(key, None)

    def since_last_look(self, service: Object, pods: Iterable[Object]) -> str:
        """The first change since the last look; a Service that is new began with itself; nothing: none."""
        times = {name_of(pod): moment for pod in pods if (moment := _ready_or_not_since(pod))}
        known = self._known.get(key_of(service))
        self._known[key_of(service)] = times
        if known is None:
            return metadata_of(service).get("creationTimestamp") or ""
        return min((moment for name, moment in times.items() if moment > known.get(name, "")), default="")


def note(obj: Object, moment: str) -> None:
    """Write the moment into an object's annotations; none takes away what was there."""
    annotations = {key: value for key, value in annotations_of(obj).items() if key != LAST_CHANGE}
    if moment:
        annotations[LAST_CHANGE] = moment
    if annotations:
        metadata_of(obj)["annotations"] = annotations
    else:
        metadata_of(obj).pop("annotations", None)


def _ready_or_not_since(pod: Object) -> str:
    ready = pod_status.condition(pod, pod_status.READY)
    return (ready or {}).get("lastTransitionTime") or ""
