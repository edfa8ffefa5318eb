"""What a watch says: one event after another."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.apimachinery.object import Object

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"
BOOKMARK = "BOOKMARK"
ERROR = "ERROR"

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark that ends the initial events of a WatchList request."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch. For ERROR, `obj` is a Status."""

    type: str
    obj: Object
