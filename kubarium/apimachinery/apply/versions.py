"""Managers that wrote in another version of an object: what they own is named as that version names it.

A write is compared once more in each of those versions. Whoever converts may have to ask a webhook, so that what is
wanted is yielded, and sent back when it is there:

    steps = managed_fields.applying(...)
    objects, api_version = steps.send(None)       # these objects, in this version
    objects, api_version = steps.send(converted)
    ...                                           # StopIteration.value is the result

Source: https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/merge/update.go
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import NamedTuple, TypeVar

from kubarium.apimachinery.apply import field_set
from kubarium.apimachinery.apply import merge as merging
from kubarium.apimachinery.apply.field_set import FieldSet
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema.structural import ANY, Structural

M = TypeVar("M")
Steps = Generator[tuple[list[Object], str], list[Object], Object]
ChangeSteps = Generator[tuple[list[Object], str], list[Object], "Changes"]


_NAME: FieldSet = {"f:metadata": {"f:name": {}}}


class Changes(NamedTuple):
    """What a write adds or modifies, and what it removes, by version; versions that are not named are the writer's."""

    taken: FieldSet
    removed: FieldSet
    others: Mapping[str, tuple[FieldSet, FieldSet]] = {}

    def of(self, entry: Object) -> tuple[FieldSet, FieldSet]:
        """As the manager of this entry names the fields."""
        return self.others.get(entry.get("apiVersion") or "", (self.taken, self.removed))


def others(entries: Iterable[Object], own: str, schemas: Mapping[str, Structural]) -> list[str]:
    """The versions in which others wrote; without schemas all are taken for the same."""
    found = {entry.get("apiVersion") or "" for entry in entries} & schemas.keys()
    return sorted(found - {own})


def known(entries: dict[M, Object], schemas: Mapping[str, Structural]) -> dict[M, Object]:
    """The managers who wrote in a version that still exists, with the fields that it still tells apart.

    A list or a map that has become atomic belongs to whoever owned something in it; what was atomic before stays whole
    for whoever owned it.

    Source: https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/typed/reconcile_schema.go
    """
    if not schemas:
        return entries
    found: dict[M, Object] = {}
    for manager, entry in entries.items():
        schema = schemas.get(entry["apiVersion"])
        if schema is not None:
            fields = _reconciled(entry["fieldsV1"], schema)
            found[manager] = entry if fields is entry["fieldsV1"] else {**entry, "fieldsV1": fields}
    return found


def _reconciled(fields: FieldSet, schema: Structural) -> FieldSet:
    """The set with whole lists and maps where the schema calls them atomic; itself if nothing changes."""
    changed = fields
    for step, node in fields.items():
        if not node or step == field_set.SELF:
            continue
        below = (schema.child(step[2:]) if step[0] == "f" else schema.items) or ANY
        new = field_set.MEMBER if _is_whole(below) else _reconciled(node, below)
        if new is not node:
            changed = {**changed, step: new}
    return changed


def _is_whole(schema: Structural) -> bool:
    if schema.type == "array":
        return schema.list_type == "atomic"
    return schema.type == "object" and field_set.is_atomic({}, schema)


def without_unowned(
    merged: Object,
    last: Object,
    owned: Mapping[str, FieldSet],
    own: str,
    schemas: Mapping[str, Structural],
) -> Steps:
    """The merged object without what its applier applied last time and nobody owns any more, in any version.

    What goes in the version of the last time, but is owned in another one, comes back there.
    """
    base = last["apiVersion"] if last.get("apiVersion") in schemas else own
    whole = merged if base == own else (yield [merged], base)[0]
    schema = schemas.get(base) or ANY
    wanted = owned.get(base) or {}
    if base != own:
        wanted = field_set.union(wanted, _NAME)  # without it there is nothing to convert
    left: Object = merging.remove(whole, schema, last["fieldsV1"], wanted)
    for version, fields in owned.items():
        if left == whole:
            return merged
        if version != base:
            before, after = yield [whole, left], version
            schema = schemas.get(version) or ANY
            wanted = field_set.union(fields, field_set.of_object(after, schema))
            kept = merging.remove(before, schema, field_set.of_object(before, schema), wanted)
            (left,) = yield [kept], base
    return left if base == own else (yield [left], own)[0]
