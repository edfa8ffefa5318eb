"""What can happen to the pods of a node: the words in which everybody speaks to the sync loop."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.apimachinery.object import Object


@dataclass(frozen=True, slots=True)
class PodAdded:
    """A pod that was not known before."""

    pod: Object


@dataclass(frozen=True, slots=True)
class PodUpdated:
    """What is wanted of the pod has changed."""

    pod: Object


@dataclass(frozen=True, slots=True)
class PodReconciled:
    """Only what is reported of the pod has changed."""

    pod: Object


@dataclass(frozen=True, slots=True)
class PodRemoved:
    """The pod is no longer in its source."""

    pod: Object


@dataclass(frozen=True, slots=True)
class ContainerChanged:
    """The runtime says something new of a pod."""

    pod_uid: str


@dataclass(frozen=True, slots=True)
class ProbeChanged:
    """A probe has another result than before."""

    pod_uid: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A worker has cleared up after its pod."""

    pod: Object


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Time to look for what nobody owns."""


Change = PodAdded | PodUpdated | PodReconciled | PodRemoved
"""What a source of pods says."""

Event = Change | ContainerChanged | ProbeChanged | Finished | Housekeeping
"""Everything that the sync loop hears."""
