"""What holds for every sequence of writes, tried with many small ones."""

from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery.apply import field_set, managed_fields
from kubarium.apimachinery.apply.managed_fields import Writer
from kubarium.apimachinery.object import copy
from kubarium.apimachinery.schema.structural import from_openapi

ITEM = {"id": "string", "n": "integer", "m": "integer"}
SCHEMA = from_openapi(
    {
        "type": "object",
        "properties": {
            "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "spec": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "atomic": {"type": "array", "items": {"type": "string"}},
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "items": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["id"],
                        "items": {
                            "type": "object",
                            "properties": {key: {"type": kind} for key, kind in ITEM.items()},
                        },
                    },
                },
            },
        },
    }
)  # fmt: skip

# Lists with keys are never empty here: upstream does not own an empty one. Nor are maps, whose last entries leave a
# null behind, as in upstream, until defaults are filled in.
small = st.integers(0, 3)
letters = st.sampled_from("abc")
item = st.fixed_dictionaries({"id": letters}, optional={"n": small, "m": small})
specs = st.fixed_dictionaries(
    {"a": small},
    optional={
        "atomic": st.lists(letters, max_size=2),
        "set": st.lists(letters, unique=True, min_size=1, max_size=3),
        "map": st.dictionaries(letters, small, min_size=1, max_size=2),
        "items": st.lists(item, min_size=1, max_size=3, unique_by=lambda entry: entry["id"]),
    },
)


def config(spec):
    return {"apiVersion": "e/v1", "kind": "E", "metadata": {"name": "e"}, "spec": spec}


def apply(live, spec, manager):
    return managed_fields.apply(
        live, config(spec), Writer(manager, "e/v1", "2026-01-01T00:00:00Z"), SCHEMA, force=True
    )


def contains(value, part):
    """Is everything of the part in the value?"""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], part[key]) for key in part
        )
    if isinstance(part, list) and part and isinstance(part[0], dict):
        by_id = {entry["id"]: entry for entry in value}
        return all(entry["id"] in by_id and contains(by_id[entry["id"]], entry) for entry in part)
    return value == part


def without_set(spec):
    """A set may have other owners' values between."""
    return {key: value for key, value in spec.items() if key != "set"}


def owned_paths(obj):
    found = set()
    for entry in obj["metadata"].get("managedFields", ()):
        found |= set(field_set.paths(entry["fieldsV1"]))
    return found


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), specs), min_size=1, max_size=5))
def test_what_is_applied_is_there_and_applying_again_changes_nothing(writes):
    live = None
    for manager, spec in writes:
        live = apply(live, spec, manager)
        assert contains(live["spec"], without_set(spec))
        assert set(spec.get("set", ())) <= set(live["spec"].get("set", ()))
        assert apply(live, spec, manager) == live


@given(specs, specs)
def test_one_applier_alone_leaves_nothing_behind(first, second):
    live = apply(apply(None, first, "one"), second, "one")
    for key, value in live["spec"].items():
        assert key in second
        assert value == second[key]


@given(st.lists(specs, min_size=2, max_size=4))
def test_after_updates_every_field_that_is_there_is_owned_and_no_other(spec_list):
    live = None
    for number, spec in enumerate(spec_list):
        new = config(copy(spec))
        managed_fields.update(live, new, Writer(f"m{number}", "e/v1", "2026-01-01T00:00:00Z"), SCHEMA)
        live = new
    there = set(field_set.paths(field_set.everything(live["spec"], SCHEMA.properties["spec"]), ("f:spec",)))
    assert owned_paths(live) - {("f:spec",)} == there - {("f:spec",)}
