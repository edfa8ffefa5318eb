"""What can happen to the pods of a node: the words in which everybody speaks to the sync loop."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.apimachinery.object import Object


@dataclass(frozen=True, slots=True)
class _OfPod:
    pod: Object


@dataclass(frozen=True, slots=True)
class _OfUid:
    pod_uid: str


class PodAdded(_OfPod):
    """A pod that was not known before."""


class PodUpdated(_OfPod):
    """What is wanted of the pod has changed."""


class PodReconciled(_OfPod):
    """Only what is reported of the pod has changed."""


class PodRemoved(_OfPod):
    """The pod is no longer in its source."""


class ContainerChanged(_OfUid):
    """The runtime says something new of a pod."""


class ProbeChanged(_OfUid):
    """A probe has another result than before."""


class Finished(_OfPod):
    """A worker has cleared up after its pod."""


class Housekeeping:
    """Time to look for what nobody owns."""


Change = PodAdded | PodUpdated | PodReconciled | PodRemoved
"""What a source of pods says."""

Event = Change | ContainerChanged | ProbeChanged | Finished | Housekeeping
"""Everything that the sync loop hears."""
