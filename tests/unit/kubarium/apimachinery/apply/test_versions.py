"""Managers of an object that wrote in different versions of it; each case was compared with apiextensions-apiserver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubarium.apimachinery.apply import managed_fields
from kubarium.apimachinery.apply.managed_fields import Writer
from kubarium.apimachinery.errors import Conflict
from kubarium.apimachinery.object import copy
from kubarium.apimachinery.schema.structural import Structural, from_openapi


def toy(size: str) -> Structural:
    numbers = {name: {"type": "integer"} for name in (size, "x")}
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    return from_openapi(
        {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object", "properties": {"name": {"type": "string"}, "labels": labels}},
                "spec": {"type": "object", "properties": numbers},
            },
        }
    )


SCHEMAS = {"a.b/v1": toy("size"), "a.b/v2": toy("length")}


def converted(obj, version):
    """What was a size is a length in v2."""
    made = copy(obj)
    if made["apiVersion"] != version:
        made["apiVersion"] = version
        before, after = ("size", "length") if version == "a.b/v2" else ("length", "size")
        if before in (made.get("spec") or {}):
            made["spec"][after] = made["spec"].pop(before)
    return made


def run(steps):
    try:
        objects, version = next(steps)
        while True:
            objects, version = steps.send([converted(obj, version) for obj in objects])
    except StopIteration as done:
        return done.value


def apply(live, version, manager, spec, *, force=False, labels=None, schemas=SCHEMAS):
    metadata = {"name": "n", "labels": labels} if labels else {"name": "n"}
    config = {"apiVersion": version, "kind": "Toy", "metadata": metadata, "spec": spec}
    before = converted(live, version) if live is not None else None
    writer = Writer(manager, version, "2026-01-01T12:00:00Z")
    return run(managed_fields.applying(before, config, writer, SCHEMAS[version], force, (), schemas))


def owned(obj):
    return {
        entry["manager"]: (entry["apiVersion"], entry["fieldsV1"]["f:spec"])
        for entry in obj["metadata"]["managedFields"]
    }


def test_a_field_of_another_name_is_a_conflict_or_taken_by_force():
    live = apply(None, "a.b/v1", "alice", {"size": 1, "x": 1})
    with pytest.raises(Conflict) as refused:
        apply(live, "a.b/v2", "bob", {"length": 2})
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "alice": .spec.size'
    taken = apply(live, "a.b/v2", "bob", {"length": 2}, force=True)
    assert taken["spec"] == {"length": 2, "x": 1}
    assert owned(taken) == {"alice": ("a.b/v1", {"f:x": {}}), "bob": ("a.b/v2", {"f:length": {}})}


def test_an_update_takes_the_field_from_who_applied_it_under_another_name():
    live = converted(apply(None, "a.b/v1", "alice", {"size": 1, "x": 1}), "a.b/v2")
    live["metadata"]["uid"] = "u"
    new = copy(live)
    new["spec"]["length"] = 5
    writer = Writer("bob", "a.b/v2", "2026-01-01T13:00:00Z")
    run(managed_fields.updating(live, new, writer, SCHEMAS["a.b/v2"], (), SCHEMAS))
    assert owned(new) == {"alice": ("a.b/v1", {"f:x": {}}), "bob": ("a.b/v2", {"f:length": {}})}


def test_what_is_applied_no_more_in_a_new_version_goes_unless_another_owns_it_in_an_old_one():
    live = apply(None, "a.b/v1", "alice", {"size": 1, "x": 1}, labels={"a": "1"})
    live = apply(live, "a.b/v1", "bob", {"size": 1})
    kept = apply(live, "a.b/v2", "alice", {})
    assert (
        kept["spec"] == {"length": 1} and kept["metadata"]["name"] == "n" and "labels" not in kept["metadata"]
    )
    alone = apply(kept, "a.b/v2", "bob", {"x": 3})
    assert alone["spec"] == {"x": 3} and owned(alone)["bob"] == ("a.b/v2", {"f:x": {}})


def test_managers_of_a_version_that_is_no_more_are_forgotten():
    live = apply(None, "a.b/v1", "alice", {"size": 1, "x": 1})
    gone = {"a.b/v2": SCHEMAS["a.b/v2"], "a.b/v3": SCHEMAS["a.b/v2"]}
    assert owned(apply(live, "a.b/v2", "bob", {"x": 2}, schemas=gone)) == {"bob": ("a.b/v2", {"f:x": {}})}


def test_conflicts_are_told_in_the_order_of_their_paths():
    live = apply(None, "a.b/v1", "alice", {"x": 1, "size": 1})
    with pytest.raises(Conflict) as refused:
        apply(live, "a.b/v1", "bob", {"x": 2, "size": 2})
    assert refused.value.message.splitlines()[1:] == ["- .spec.size", "- .spec.x"]


def listed(list_type: str, map_type: str) -> Structural:
    item = {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}
    keys = {"x-kubernetes-list-map-keys": ["k"]} if list_type == "map" else {}
    items = {"type": "array", "items": item, "x-kubernetes-list-type": list_type, **keys}
    labels = {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": map_type}
    spec = {"type": "object", "properties": {"items": items, "labels": labels}}
    kind = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    return from_openapi({"type": "object", "properties": {**kind, "spec": spec}})


def test_who_owned_a_part_of_what_became_atomic_owns_it_whole():
    spec = {"items": [{"k": "1", "v": "a"}], "labels": {"x": "1"}}
    config = {"apiVersion": "a.b/v1", "kind": "Toy", "metadata": {"name": "t"}, "spec": spec}
    granular, atomic = listed("map", "granular"), listed("atomic", "atomic")
    writer = Writer("one", "a.b/v1", "2026-01-01T12:00:00Z")
    made = managed_fields.apply(None, config, writer, granular)
    other = copy(config) | {"spec": {"items": [{"k": "2"}], "labels": {"y": "1"}}}
    steps = managed_fields.applying(
        made, other, replace(writer, manager="two"), atomic, schemas={"a.b/v1": atomic}
    )
    with pytest.raises(Conflict) as refused:
        run(steps)
    assert [cause["field"] for cause in refused.value.details["causes"]] == [".spec.items", ".spec.labels"]


def test_who_wrote_in_a_version_that_is_gone_owns_nothing():
    live = {"apiVersion": "a.b/v1", "kind": "Toy", "metadata": {"name": "t"}, "spec": {"size": 1}}
    gone = managed_fields.apply(
        None, live, Writer("one", "a.b/v0", "2026-01-01T12:00:00Z"), SCHEMAS["a.b/v1"]
    )
    config = copy(live) | {"spec": {"size": 2}}
    later = Writer("two", "a.b/v1", "2026-01-01T13:00:00Z")
    made = run(managed_fields.applying(gone, config, later, SCHEMAS["a.b/v1"], schemas=SCHEMAS))
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["two"]
