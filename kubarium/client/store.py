"""Objects by key, with named indexes. Who reads an object must not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubarium.apimachinery.object import Object, ObjectKey, key_of

IndexFunction = Callable[[Object], Iterable[str]]


class Store:
    """Owned by one reflector, which alone writes to it."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, Object] = {}
        self._functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, set[ObjectKey]]] = {}
        self.add_index("namespace", lambda obj: [obj["metadata"].get("namespace") or ""])

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Index by the values that a function finds in each object; adding the same name again is harmless."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._enter(name, key, obj)

    def get(self, key: ObjectKey) -> Object | None:
        """The object, if it is there."""
        return self._objects.get(key)

    def all(self) -> list[Object]:
        """Every object."""
        return list(self._objects.values())

    def keys(self) -> list[ObjectKey]:
        """Every key."""
        return list(self._objects)

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects for which the index function found this value."""
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def put(self, obj: Object) -> Object | None:
        """Keep an object; the one it replaces is returned."""
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None:
            self._leave(key, old)
        self._objects[key] = obj
        for name in self._functions:
            self._enter(name, key, obj)
        return old

    def remove(self, key: ObjectKey) -> Object | None:
        """Forget an object and return it."""
        old = self._objects.pop(key, None)
        if old is not None:
            self._leave(key, old)
        return old

    def __len__(self) -> int:
        return len(self._objects)

    def _enter(self, name: str, key: ObjectKey, obj: Object) -> None:
        index = self._indexes[name]
        for value in self._functions[name](obj):
            index.setdefault(value, set()).add(key)

    def _leave(self, key: ObjectKey, obj: Object) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(obj):
                keys = index.get(value)
                if keys is not None:
                    keys.discard(key)
                    if not keys:
                        del index[value]
