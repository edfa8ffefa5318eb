import pytest

from kubarium.apimachinery.errors import BadRequest, Invalid, RequestEntityTooLarge
from kubarium.apimachinery.patch import json_patch

DOCUMENT = {"a": [1, 2, 3], "b": {"c": "d", "x/y": 1, "m~n": 2}}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/1", "value": 9}, {"a": [1, 9, 2, 3]}),
        ({"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 3, 9]}),
        ({"op": "remove", "path": "/a/-1"}, {"a": [1, 2]}),
        ({"op": "replace", "path": "/a/0", "value": None}, {"a": [None, 2, 3]}),
        ({"op": "add", "path": "/n", "value": {}}, {"n": {}}),
        ({"op": "move", "from": "/b/c", "path": "/n"}, {"n": "d", "b": {"x/y": 1, "m~n": 2}}),
        ({"op": "copy", "from": "/b/c", "path": "/n"}, {"n": "d"}),
        ({"op": "test", "path": "/b/x~1y", "value": 1}, {}),
        ({"op": "test", "path": "/b/m~0n", "value": 2}, {}),
        ({"op": "test", "path": "/nowhere", "value": None}, {}),
        ({"op": "test", "path": "", "value": DOCUMENT}, {}),
        ({"op": "replace", "path": "/nowhere", "value": 1}, {"nowhere": 1}),
        ({"op": "copy", "from": "/nowhere", "path": "/n"}, {"n": None}),
        ({"op": "add", "path": "/a/+01", "value": 9}, {"a": [1, 9, 2, 3]}),
        ({"op": "add", "path": "a/n", "value": 1}, {"n": 1}),
    ],
)
def test_one_operation(operation, expected):
    before = str(DOCUMENT)
    assert json_patch.apply(DOCUMENT, [operation]) == {**DOCUMENT, **expected}
    assert str(DOCUMENT) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nowhere"},
        {"op": "add", "path": "/no/where", "value": 1},
        {"op": "add", "path": "/a/7", "value": 1},
        {"op": "add", "path": "/a/1_0", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "replace", "path": "", "value": None},
        {"op": "replace", "path": "/a/-", "value": 1},
        {"op": "test", "path": "/no/where"},
        {"op": "test", "path": "/b/m~0n", "value": 2.0},
        {"op": "test", "path": "/a/0", "value": True},
        {"op": "test", "path": "/b/c", "value": "x"},
        {"op": "move", "from": "/b", "path": "/b/c"},
        {"op": "frobnicate", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "value": 1},
    ],
)
def test_what_cannot_be_done_is_refused_in_upstreams_words(operation):
    with pytest.raises(Invalid) as refused:
        json_patch.apply(DOCUMENT, [operation])
    assert refused.value.message == "the server rejected our request due to an error in our request"


def test_the_whole_document_can_be_replaced_and_nothing_be_asked():
    assert json_patch.apply(DOCUMENT, [{"op": "replace", "path": "", "value": {"a": 1}}]) == {"a": 1}
    assert json_patch.apply(DOCUMENT, None) == DOCUMENT


def test_what_is_no_patch():
    with pytest.raises(BadRequest):
        json_patch.apply(DOCUMENT, {"op": "add"})
    with pytest.raises(RequestEntityTooLarge):
        json_patch.apply(DOCUMENT, [{"op": "test", "path": "/b/c", "value": "d"}] * 10_001)


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ({"op": "remove", "path": "/x/y"},
         'remove operation does not apply: doc is missing path: "/x/y": missing value'),
        ({"op": "remove", "path": "/o/y"},
         "error in remove for path: '/o/y': unable to remove nonexistent key: y: missing value"),
        ({"op": "replace", "path": "/o/y", "value": 1},
         "replace operation does not apply: doc is missing key: /o/y: missing value"),
        ({"op": "add", "path": "/x/y", "value": 1},
         'add operation does not apply: doc is missing path: "/x/y": missing value'),
        ({"op": "copy", "from": "/y", "path": "/z"},
         "error in copy for from: '/y': unable to get nonexistent key: y: missing value"),
        ({"op": "move", "from": "/y/a", "path": "/z"},
         "move operation does not apply: doc is missing from path: /y/a: missing value"),
        ({"op": "test", "path": "/x/y", "value": 1},
         "test operation does not apply: is missing path: /x/y: missing value"),
    ],
)  # fmt: skip
def test_a_policy_may_miss_nothing(operation, told):
    with pytest.raises(json_patch.CannotApply) as refused:
        json_patch.attempt({"o": {"a": 1}}, [operation])
    assert str(refused.value) == told


def test_a_test_that_fails_is_told_apart():
    with pytest.raises(json_patch.TestFailed):
        json_patch.attempt({"o": {"a": 1}}, [{"op": "test", "path": "/o/a", "value": 2}])
    assert json_patch.attempt({"o": {}}, [{"op": "add", "path": "/o/a", "value": 1}]) == {"o": {"a": 1}}
