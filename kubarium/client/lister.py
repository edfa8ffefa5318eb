"""Read the cache: by key, by namespace, by selector."""

from __future__ import annotations

from typing import TypeAlias

from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import Object, ObjectKey, labels_of
from kubarium.client.store import Store

Objects: TypeAlias = list[Object]


class Lister:
    """Answers come from memory and are read-only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: ObjectKey | str, name: str = "") -> Object | None:
        """By key, or by namespace and name (`get("", "node-1")` for cluster-scoped kinds)."""
        return self._store.get(key if isinstance(key, ObjectKey) else ObjectKey(key, name))

    def list(self, namespace: str | None = None, selector: Selector | None = None) -> Objects:
        """All, or those of one namespace, that the selector matches."""
        found = self._store.all() if not namespace else self._store.by_index("namespace", namespace)
        if selector is None or selector.is_everything:
            return found
        return [obj for obj in found if selector.matches(labels_of(obj))]

    def by_index(self, index: str, value: str) -> Objects:
        """The objects for which the index function found this value."""
        return self._store.by_index(index, value)

    def __len__(self) -> int:
        return len(self._store)
