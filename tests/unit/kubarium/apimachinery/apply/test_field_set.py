import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery.apply import field_set

steps = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
path_sets = st.frozensets(st.lists(steps, min_size=1, max_size=3).map(tuple), max_size=8)


def build(paths):
    """A set by the definition: every path one by one."""
    root = {}
    for path in sorted(paths):
        root = field_set.union(root, chain(path))
    return root


def chain(path):
    return {path[0]: chain(path[1:]) if len(path) > 1 else {}}


def members(fields):
    return set(field_set.paths(fields))


@given(path_sets)
def test_a_set_contains_what_was_put_into_it(paths):
    assert members(build(paths)) == paths


@given(path_sets, path_sets)
def test_set_operations(left, right):
    a, b = build(left), build(right)
    assert members(field_set.union(a, b)) == left | right
    assert members(field_set.difference(a, b)) == left - right
    assert members(field_set.intersection(a, b)) == left & right
    assert members(a) == left
    assert members(b) == right


@given(path_sets)
def test_nothing_remains_empty(paths):
    fields = build(paths)
    assert field_set.difference(fields, fields) == {}
    if not paths:
        assert fields == {}


def test_paths_are_printed_as_upstream_prints_them():
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert field_set.path_text(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert field_set.path_text(("f:finalizers", 'v:"a"')) == '.finalizers[="a"]'


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({}, {}),
        ({".": {}}, {}),  # nobody owns a whole object
        ({"f:a": {".": {}}}, {"f:a": {}}),
        ({"f:a": None, "f:b": {".": None, "f:c": {}}}, {"f:a": {}, "f:b": {".": {}, "f:c": {}}}),
        ({'k:{"b":1,"a":"x"}': {}}, {'k:{"a":"x","b":1}': {}}),
        ({'v:{"b": 1}': {}, "i:01": {}, "x:0": {}}, {'v:{"b":1}': {}, "i:1": {}}),
    ],
)
def test_what_clients_send_is_kept_in_one_form(sent, kept):
    assert field_set.read(sent) == kept


@pytest.mark.parametrize(
    "sent", [[], 1, {"f": {}}, {"f:a": 1}, {"k:x": {}}, {"k:[1]": {}}, {"v:zz": {}}, {"i:x": {}}]
)
def test_what_is_no_set_is_refused(sent):
    with pytest.raises(ValueError):
        field_set.read(sent)


def test_a_set_that_is_nested_too_deeply_is_none() -> None:
    fields: dict[str, object] = {}
    for _ in range(100_000):
        fields = {"f:a": fields}
    with pytest.raises(ValueError, match="too deeply"):
        field_set.read(fields)
    while fields:  # the interpreter would take it apart by recursion, too
        fields = fields["f:a"]  # type: ignore[assignment]
