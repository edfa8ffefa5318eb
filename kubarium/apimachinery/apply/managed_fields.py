"""Who owns which field after each write.

An entry of `metadata.managedFields` is one manager's set of fields. A manager is known by its name, its operation
(Apply or Update), its subresource, and for Updates its apiVersion. Whoever changes a field by an Update takes it
from all others; whoever applies a value that another manager owns gets a conflict, unless the values agree or it
insists.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from kubarium.apimachinery.apply import field_set, sent_entries, versions
from kubarium.apimachinery.apply import merge as merging
from kubarium.apimachinery.apply.field_set import FieldSet, Path
from kubarium.apimachinery.apply.versions import Steps
from kubarium.apimachinery.errors import BadRequest, Conflict, StatusError
from kubarium.apimachinery.object import Object, copy
from kubarium.apimachinery.schema.structural import ANY, Structural

MOST_UPDATERS = 10
ANCIENT = "ancient-changes"
BEFORE_APPLY = "before-first-apply"
KUBECTL = "kubectl"
NO_OTHERS: Mapping[str, Structural] = {}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and when. `time` is the RFC 3339 text of now."""

    manager: str
    api_version: str
    time: str
    subresource: str = ""


class _Manager(NamedTuple):
    """What tells managers apart."""

    name: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = orjson.dumps(self.name).decode()
        if self.subresource:
            text += f" with subresource {orjson.dumps(self.subresource).decode()}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


_Entries = dict[_Manager, Object]


def update(
    live: Object | None,
    new: Object,
    writer: Writer,
    schema: Structural | None,
    reset: Sequence[tuple[str, ...]] = (),
) -> None:
    """As `updating`, where all versions of the object name their fields alike."""
    _finish(updating(live, new, writer, schema, reset))


def updating(
    live: Object | None,
    new: Object,
    writer: Writer,
    schema: Structural | None,
    reset: Sequence[tuple[str, ...]] = (),
    schemas: Mapping[str, Structural] = NO_OTHERS,
) -> Steps:
    """Write `new.metadata.managedFields` after a create, an update or a patch.

    `live` is what was stored before, None at creation. Fields below the paths in `reset` are not owned through this
    endpoint, for instance `(("status",),)` where a write to the main resource leaves the status alone.
    `schemas` are those of all versions, where they differ; see `versions` for what is yielded.
    """
    entries = _entries_for_update(live, new, writer.subresource)
    if live is not None and not entries and (live.get("metadata") or {}).get("uid"):
        _write(new, entries)  # who has begun without managers goes on without, until somebody applies
        return new
    entries = versions.known(entries, schemas)
    difference = merging.compare(live or {}, new, schema or ANY)
    if not difference.is_same():
        difference = _without(difference, reset)
        taken = field_set.union(difference.added, difference.modified)
        mine = _Manager(writer.manager, "Update", writer.api_version, writer.subresource)
        changes = versions.Changes(taken, difference.removed)
        if live is not None:
            changes = yield from _changes(live, new, changes, entries, writer, reset, schemas)
        if writer.subresource == "scale":
            taken, removed = _of_scale(changes, new, entries)
            changes = changes._replace(taken=taken, removed=removed)
        _take_away(entries, mine, changes)
        if taken:
            before = entries.get(mine)
            fields = field_set.union(before["fieldsV1"], taken) if before is not None else taken
            entries[mine] = _entry(mine, fields, writer.api_version, writer.time)
            _merge_ancient(entries)
    _write(new, entries)
    return new


def apply(
    live: Object | None,
    config: Object,
    writer: Writer,
    schema: Structural | None,
    force: bool = False,
    reset: Sequence[tuple[str, ...]] = (),
) -> Object:
    """As `applying`, where all versions of the object name their fields alike."""
    return _finish(applying(live, config, writer, schema, force, reset))


def applying(
    live: Object | None,
    config: Object,
    writer: Writer,
    schema: Structural | None,
    force: bool = False,
    reset: Sequence[tuple[str, ...]] = (),
    schemas: Mapping[str, Structural] = NO_OTHERS,
) -> Steps:
    """Server-side apply: the object as it should be now, with its managed fields.

    1. The configuration may contain only what the schema declares.
    2. It is merged into the live object.
    3. What this manager applied before, does not apply now, and nobody else owns, goes.
    4. What changes and belongs to others is a conflict, unless `force` takes it from them.
    """
    schema = schema or ANY
    check_config(config, schema)  # 1
    before = live or {}
    entries = _entries_of(before)
    if live is not None and not entries:
        entries = _entries_before_first_apply(live, writer, schema, reset)
    entries = versions.known(entries, schemas)
    mine = _Manager(writer.manager, "Apply", "", writer.subresource)
    last = entries.get(mine)
    named = field_set.of_object(config, schema)
    applied = _ownable(named, reset)
    merged: Object = merging.merge(before, config, schema)  # 2
    if last is not None:
        # Its name is nobody's field, but whoever names it wants its metadata to stay.
        wanted = _without_reset(named, reset)
        owned = _owned(entries, mine, wanted, writer.api_version, schemas)
        known = {**schemas, writer.api_version: schema}
        merged = yield from versions.without_unowned(merged, last, owned, writer.api_version, known)  # 3
    difference = _without(merging.compare(before, merged, schema), reset)
    taken = field_set.union(difference.added, difference.modified)
    changes = versions.Changes(taken, difference.removed)
    if live is not None and not difference.is_same():
        theirs = {key: entry for key, entry in entries.items() if key != mine}
        changes = yield from _changes(live, merged, changes, theirs, writer, reset, schemas)
    _raise_conflicts(entries, mine, changes, before, schema, force)  # 4
    _take_away(entries, mine, changes)
    time = last["time"] if last is not None and "time" in last and difference.is_same() else writer.time
    if applied:
        entries[mine] = _entry(mine, applied, writer.api_version, time)
    else:
        entries.pop(mine, None)
    result = copy(merged)
    _keep_last_applied(result, config, mine)
    _write(result, entries)
    return result


def _finish(steps: Steps) -> Object:
    """The result where nothing is to be converted."""
    try:
        next(steps)
    except StopIteration as done:
        result: Object = done.value
        return result
    raise AssertionError("there are no other versions")


def _changes(
    live: Object,
    new: Object,
    own: versions.Changes,
    entries: _Entries,
    writer: Writer,
    reset: Sequence[tuple[str, ...]],
    schemas: Mapping[str, Structural],
) -> versions.ChangeSteps:
    """What a write changes, in all versions in which others wrote."""
    found: dict[str, tuple[FieldSet, FieldSet]] = {}
    for version in versions.others(entries.values(), writer.api_version, schemas):
        before, after = yield [live, new], version
        difference = _without(merging.compare(before, after, schemas[version]), reset)
        found[version] = (field_set.union(difference.added, difference.modified), difference.removed)
    return own._replace(others=found)


def _entries_of(obj: Object) -> _Entries:
    """The managers of an object."""
    return _by_manager(_listed(obj))


def _listed(obj: Object) -> list[Object]:
    found: list[Object] = (obj.get("metadata") or {}).get("managedFields") or []
    return found


def _by_manager(listed: Sequence[Object]) -> _Entries:
    entries: _Entries = {}
    for entry in listed:
        operation = entry["operation"]
        version = entry["apiVersion"] if operation == "Update" else ""
        manager = _Manager(entry.get("manager") or "", operation, version, entry.get("subresource") or "")
        entries[manager] = entry
    return entries


def _entries_for_update(live: Object | None, new: Object, subresource: str) -> _Entries:
    """A client may send managed fields with an update of the object itself.

    One empty entry starts them anew; with none, or with some that make no sense, those that are stay.
    """
    sent, known = _listed(new), _listed(live or {})
    if not sent or sent == known or subresource:
        return _entries_of(live or {})
    if sent == [{}]:
        return {}
    try:
        return _by_manager(sent_entries.read(sent))
    except ValueError:
        return _entries_of(live or {})


def _of_scale(changes: versions.Changes, new: Object, entries: _Entries) -> tuple[FieldSet, FieldSet]:
    """What a Scale takes and removes: a number that nobody owned stays nobody's, and zero is not in a Scale at all."""
    taken, removed = changes.taken, changes.removed
    if not any(field_set.intersection(entry["fieldsV1"], changes.of(entry)[0]) for entry in entries.values()):
        return {}, removed
    values = [_at(new, path) for path in field_set.paths(taken)]
    return ({}, field_set.union(removed, taken)) if values == [0] else (taken, removed)


def _at(obj: Any, path: Path) -> Any:
    for step in path:
        obj = obj.get(step.removeprefix("f:")) if isinstance(obj, dict) else None
    return obj


def _entries_before_first_apply(
    live: Object, writer: Writer, schema: Structural, reset: Sequence[tuple[str, ...]]
) -> _Entries:
    manager = _Manager(BEFORE_APPLY, "Update", writer.api_version, "")
    difference = _without(merging.compare({}, live, schema), reset)
    fields = field_set.union(difference.added, difference.modified)
    return {manager: _entry(manager, fields, writer.api_version, writer.time)} if fields else {}


def _entry(manager: _Manager, fields: FieldSet, api_version: str, time: str) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _with_fields(entry: Object, fields: FieldSet) -> Object:
    return {**entry, "fieldsV1": fields}


def _without(difference: merging.Comparison, reset: Sequence[tuple[str, ...]]) -> merging.Comparison:
    if not reset:
        return difference
    paths = [field_set.field_path(*names) for names in reset]
    return merging.Comparison(*(field_set.without(fields, paths) for fields in difference))


_NOT_OWNED: list[Path] = [
    field_set.field_path("apiVersion"),
    field_set.field_path("kind"),
    *(field_set.field_path("metadata", name) for name in sorted(merging.NOT_OWNED)),
]


def _ownable(fields: FieldSet, reset: Sequence[tuple[str, ...]]) -> FieldSet:
    fields = field_set.without(_without_reset(fields, reset), _NOT_OWNED)
    if fields.get("f:metadata") == {}:
        return {step: node for step, node in fields.items() if step != "f:metadata"}
    return fields


def _without_reset(fields: FieldSet, reset: Sequence[tuple[str, ...]]) -> FieldSet:
    return field_set.without(fields, [field_set.field_path(*names) for names in reset])


def _take_away(entries: _Entries, mine: _Manager, changes: versions.Changes) -> None:
    """Others lose what the writer has changed; everybody loses what is no longer there."""
    for manager, entry in list(entries.items()):
        taken, removed = changes.of(entry)
        fields = before = entry["fieldsV1"]
        if taken and manager != mine:
            fields = field_set.difference(fields, taken)
        if removed:
            fields = field_set.difference(fields, removed)
        if not fields:
            del entries[manager]
        elif fields is not before:
            entries[manager] = _with_fields(entry, fields)


def _merge_ancient(entries: _Entries) -> None:
    """More than ten updaters: the oldest of each version become one."""
    updaters = [manager for manager in entries if manager.operation == "Update"]
    count = len(updaters)
    if count <= MOST_UPDATERS:
        return
    updaters.sort(key=lambda manager: (entries[manager].get("time") or "", manager))
    first: dict[str, _Manager] = {}
    for manager in updaters:
        if count <= MOST_UPDATERS:
            return
        version = manager.api_version
        if version not in first:
            first[version] = manager
            continue
        bucket = _Manager(ANCIENT, "Update", version, "")
        if bucket not in entries:
            oldest = entries.pop(first[version])
            entries[bucket] = _entry(bucket, oldest["fieldsV1"], version, oldest.get("time") or "")
        if manager == bucket:
            continue
        entry = entries.pop(manager)
        fields = field_set.union(entries[bucket]["fieldsV1"], entry["fieldsV1"])
        entries[bucket] = _entry(bucket, fields, version, entry.get("time") or "")
        count -= 1


def _write(obj: Object, entries: _Entries) -> None:
    metadata = obj.setdefault("metadata", {})
    if left := [entry for entry in entries.values() if entry["fieldsV1"]]:
        metadata["managedFields"] = sorted(left, key=_order) if len(left) > 1 else left
    else:
        metadata.pop("managedFields", None)


def _order(entry: Object) -> tuple[str, str, str, str, str]:
    return (
        entry["operation"],
        entry.get("time") or "",
        entry.get("manager") or "",
        entry.get("apiVersion") or "",
        entry.get("subresource") or "",
    )


def check_config(config: Object, schema: Structural) -> None:
    """Refuse what an applied configuration may not contain, in upstream's words. `apply` does it itself; call it
    before the configuration is decoded further, which would drop unknown fields.
    """
    metadata = config.get("metadata") or {}
    if metadata.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    problems = merging.undeclared(config, schema)
    if not problems:
        return
    api_version, kind = config.get("apiVersion") or "", config.get("kind") or ""
    namespace, name = metadata.get("namespace") or "", metadata.get("name") or ""
    group_version = api_version if "/" in api_version else f"/{api_version}"
    who = f"{namespace}/{name}; {group_version}, Kind={kind}"
    shown = (
        problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {problem}" for problem in problems)
    )
    # Upstream has no reason for this one: clients print it as "Error from server: failed to create ...".
    raise StatusError(f"failed to create typed patch object ({who}): {shown}", code=500, reason="")


def _owned(
    entries: _Entries, mine: _Manager, applied: FieldSet, own: str, schemas: Mapping[str, Structural]
) -> dict[str, FieldSet]:
    """What is applied now, and what others own, by version."""
    owned = {own: applied}
    for manager, entry in entries.items():
        if manager != mine:
            version = entry["apiVersion"] if entry.get("apiVersion") in schemas else own
            owned[version] = field_set.union(owned.get(version) or {}, entry["fieldsV1"])
    return owned


def _raise_conflicts(
    entries: _Entries,
    mine: _Manager,
    changes: versions.Changes,
    live: Object,
    schema: Structural,
    force: bool,
) -> None:
    if force:
        return
    conflicts: list[tuple[_Manager, Path]] = []
    for manager, entry in entries.items():
        if manager != mine:
            common = field_set.intersection(entry["fieldsV1"], changes.of(entry)[0])
            conflicts += [(manager, path) for path in field_set.paths(common)]
    if conflicts and not _kubectl_may(mine, conflicts, live, schema):
        raise _conflict(conflicts)


def _kubectl_may(
    mine: _Manager, conflicts: Sequence[tuple[_Manager, Path]], live: Object, schema: Structural
) -> bool:
    """`kubectl apply --server-side` may take over what `kubectl apply` has applied from the client before."""
    annotation = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if mine.name != KUBECTL or not annotation:
        return False
    try:
        applied = set(field_set.paths(field_set.of_object(orjson.loads(annotation), schema)))
    except orjson.JSONDecodeError:
        return False
    return all(path in applied for _, path in conflicts)


def _keep_last_applied(obj: Object, config: Object, mine: _Manager) -> None:
    """Where client-side `kubectl apply` was used before, it must find what kubectl applied last from the server
    side.
    """
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if mine.name != KUBECTL or not annotations.get(LAST_APPLIED):
        return
    applied = copy(config)
    metadata = applied.get("metadata") or {}
    metadata.pop("managedFields", None)
    (metadata.get("annotations") or {}).pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = orjson.dumps(applied, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _conflict(conflicts: Sequence[tuple[_Manager, Path]]) -> Conflict:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager}",
            "field": field_set.path_text(path),
        }
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        message = f"Apply failed with 1 conflict: conflict with {manager}: {field_set.path_text(path)}"
    else:
        lines = []
        for manager in sorted({manager for manager, _ in conflicts}):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {field_set.path_text(path)}" for owner, path in conflicts if owner == manager]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return Conflict(message, {"causes": causes})
