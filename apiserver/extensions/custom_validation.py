"""What is wrong with a custom resource: by its schema, by its rules, and for a Scale to show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apiserver.admission.metrics import EVALUATED
from kubarium.api.apiextensions import embedded_objects
from kubarium.apimachinery import names
from kubarium.apimachinery.cel.validation_rules import Rules
from kubarium.apimachinery.field_path import ROOT, STATUS, FieldError, FieldPath, invalid
from kubarium.apimachinery.go_text import go_type, printed
from kubarium.apimachinery.object import Object, finalizers_of
from kubarium.apimachinery.schema import list_types, validation
from kubarium.apimachinery.schema.structural import MISSING, Structural

_BLOCKING = frozenset({
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
})  # fmt: skip
"""With errors of these sorts an object is too far from its schema for rules to be asked about it."""
_NOT_ASKED = FieldError(
    "FieldValueInvalid",
    ROOT,
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation",
)


class Judge:
    """Judges the objects of one version of a definition."""

    def __init__(self, own: Structural, rules: Rules, scale: Object) -> None:
        """`scale` are the paths of the Scale, if there is one."""
        self._own = own
        self._rules = rules
        self._scale = scale

    def of_new(self, obj: Object) -> Sequence[FieldError]:
        """A new object."""
        found = validation.validate(obj, self._own)
        found += [*self._scale_errors(obj), *embedded_objects.errors(obj, self._own, ROOT)]
        found += list_types.errors(obj, self._own, ROOT)
        return self._with_rules(found, obj)

    def of_changed(self, new: Object, old: Object) -> Sequence[FieldError]:
        """An object that existed before."""
        found = validation.validate(new, self._own, old=old)
        found += [*self._scale_errors(new), *embedded_objects.errors(new, self._own, ROOT)]
        found += self._list_errors(new, old)
        return self._with_rules(found, new, old)

    def of_status(self, new: Object, old: Object) -> Sequence[FieldError]:
        """An object whose status alone has changed."""
        found: list[FieldError] = []
        schema = self._own.properties.get("status")
        if "status" in new and schema is not None:
            found = validation.validate(new["status"], schema, STATUS, old.get("status", MISSING))
        found += status_errors(new, self._scale) if self._scale else ()
        found += self._list_errors(new, old)
        return self._with_rules(found, new, old)

    def _scale_errors(self, obj: Object) -> Iterator[FieldError]:
        if self._scale:
            yield from _count_errors(obj, self._scale.get("specReplicasPath") or "")
            yield from status_errors(obj, self._scale)

    def _list_errors(self, new: Object, old: Object) -> list[FieldError]:
        """Repeated items; where there were some before, there may be others."""
        found = list(list_types.errors(new, self._own, ROOT))
        return [] if found and any(list_types.errors(old, self._own, ROOT)) else found

    def _with_rules(
        self, found: list[FieldError], new: Object, old: Object | None = None
    ) -> list[FieldError]:
        """The errors, and those of the rules; or that these could not be asked."""
        if not self._rules:
            return found
        if any(error.type in _BLOCKING for error in found):
            return [*found, _NOT_ASKED]
        with EVALUATED.timed():
            return [*found, *(self._rules.evaluate(new) if old is None else self._rules.evaluate(new, old))]


_MAX_REPLICAS = 2**31 - 1


def status_errors(obj: Object, scale: Object) -> Iterator[FieldError]:
    """What a Scale shows of the status: a number, and a selector as text."""
    yield from _count_errors(obj, scale.get("statusReplicasPath") or "")
    if path := scale.get("labelSelectorPath"):
        found, problem = _accessed(obj, path)
        if not problem and found is not MISSING and not isinstance(found, str):
            problem = _not_a(found, path, "string")
        if problem:
            yield invalid(FieldPath(path), "", problem)


def _count_errors(obj: Object, path: str) -> Iterator[FieldError]:
    count, problem = _accessed(obj, path)
    if not problem and count is not MISSING and (not isinstance(count, int) or isinstance(count, bool)):
        problem = _not_a(count, path, "int64")
    if problem:
        yield invalid(FieldPath(path), 0, problem)
    elif count is not MISSING and count < 0:
        yield invalid(FieldPath(path), count, "should be a non-negative integer")
    elif count is not MISSING and count > _MAX_REPLICAS:
        yield invalid(FieldPath(path), count, f"should be less than or equal to {_MAX_REPLICAS}")


def _accessed(obj: Any, path: str) -> tuple[Any, str]:
    """What stands at a path of plain names, or why there is no way to it."""
    names_ = path.removeprefix(".").split(".")
    for index, name in enumerate(names_):
        if obj is None:
            return MISSING, ""
        if not isinstance(obj, dict):
            return MISSING, _not_a(obj, "." + ".".join(names_[: index + 1]), "map[string]interface{}")
        if name not in obj:
            return MISSING, ""
        obj = obj[name]
    return obj, ""


def _not_a(value: Any, path: str, wanted: str) -> str:
    return f"{path} accessor error: {printed(value)} is of the type {go_type(value)}, expected {wanted}"


# Finalizers of custom resources may have any name; some are not wise.

_STANDARD = frozenset(("orphan", "foregroundDeletion", "kubernetes"))
_PREFER = "prefer a domain-qualified finalizer name"
_CONFLICTS = "to avoid accidental conflicts with other finalizer writers"


def finalizer_warnings(new: Object, old: Object | None) -> list[str]:
    """What whoever writes new finalizers is told about their names."""
    known = finalizers_of(old) if old is not None else ()
    found: list[str] = []
    for name in sorted({name for name in finalizers_of(new) if name not in known}):
        shown = f'metadata.finalizers: "{name}": '
        found += [shown + problem for problem in names.qualified_name_errors(name)]
        if "/" not in name and name not in _STANDARD:
            path = " including a path (/)" if "." in name else ""
            found.append(f"{shown}{_PREFER}{path} {_CONFLICTS}")
    return found
