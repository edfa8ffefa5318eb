from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery.patch import merge_patch

values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abcd"), children, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def test_the_example_of_the_rfc():
    document = {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["a", "b"],
        "c": "t",
    }
    patch = {"title": "Hello!", "phoneNumber": "+01", "author": {"familyName": None}, "tags": ["a"]}
    assert merge_patch.apply(document, patch) == {
        "title": "Hello!", "author": {"givenName": "John"}, "tags": ["a"], "c": "t", "phoneNumber": "+01",
    }  # fmt: skip
    assert document["tags"] == ["a", "b"]


def test_nulls_inside_new_objects_go():
    assert merge_patch.apply({}, {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}
    new = {"a": [{"b": None, "c": [{"d": None}]}, None]}
    for before in ({}, {"a": None}, {"a": 1}, {"a": [1]}):
        assert merge_patch.apply(before, new) == {"a": [{"c": [{}]}, None]}


def test_nulls_of_a_list_in_place_of_an_object_stay():
    """What upstream's library does, whatever it means."""
    assert merge_patch.apply({"a": {}}, {"a": [{"b": None}]}) == {"a": [{"b": None}]}


@given(objects, objects)
def test_a_created_patch_leads_from_old_to_new(old, new):
    assert merge_patch.apply(old, merge_patch.create(old, new)) == new


@given(objects)
def test_nothing_changed_is_an_empty_patch(obj):
    assert merge_patch.create(obj, obj) == {}
