"""What upstream says of a conversion webhook's answers."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.extensions.conversion_review import Converting
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object

OLD: Object = {
    "apiVersion": "a.b/v1", "kind": "Toy", "metadata": {"name": "x", "uid": "u", "labels": {"l": "1"}, "generation": 3},
}  # fmt: skip
NEW: Object = {
    "apiVersion": "a.b/v2",
    "kind": "Toy",
    "metadata": {"name": "x", "uid": "u", "annotations": {"k": "v"}},
}
WHAT = "conversion webhook for a.b/v1, Kind=Toy"


def answer(*objects: Any, **response: Any) -> Object:
    said = {"uid": "q", "result": {"status": "Success"}, "convertedObjects": list(objects)} | response
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": said}


def refusal(given: Object, *sent: Object) -> str:
    with pytest.raises(StatusError) as caught:
        Converting(sent or (OLD,), "a.b/v2").converted(given, "v1", "q")
    assert (caught.value.code, caught.value.reason) == (500, "")
    return caught.value.message


def test_only_labels_and_annotations_of_the_metadata_are_taken() -> None:
    (found,) = Converting([OLD], "a.b/v2").converted(answer(NEW), "v1", "q")
    assert found["metadata"] == {"name": "x", "uid": "u", "generation": 3, "annotations": {"k": "v"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(uid="z"), 'failed: expected response.uid="q", got "z"'),
        (answer(result={"status": "Failure"}), "failed: response.result.status was 'Failure', not 'Success'"),
        (answer(result={"status": "Failure", "message": "no"}), "failed: no"),
        ({**answer(), "response": None}, "failed: no response provided"),
        ({**answer(), "kind": "Foo"}, 'failed: no kind "Foo" is registered for version "apiextensions.k8s.io/v1" '
         'in scheme "k8s.io/apiserver/pkg/util/webhook/client.go:71"'),
        ({**answer(), "apiVersion": "apiextensions.k8s.io/v1beta1"},
         "failed: converting (v1beta1.ConversionReview) to (v1.ConversionReview): unknown conversion"),
        ({**answer(), "kind": ""}, "failed: expected webhook response of apiextensions.k8s.io/v1, "
         "Kind=ConversionReview, got apiextensions.k8s.io/v1, Kind="),
        (answer(), "returned 0 objects, expected 1"),
        (answer(uid=5), "failed: json: cannot unmarshal number into Go struct field ConversionResponse.response.uid "
         "of type types.UID"),
        (answer({**NEW, "metadata": {"name": "x", "uid": "u", "annotations": {"a b": "c"}}}),
         "returned invalid metadata: metadata.annotation: Invalid value: \"a b\": name part must consist of "
         "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
         "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"),
        (answer({**NEW, "apiVersion": "a.b/v3"}),
         "returned invalid object at index 0: invalid groupVersion (expected a.b/v2, received a.b/v3)"),
        (answer({**NEW, "kind": "Foo"}),
         "returned invalid object at index 0: invalid kind (expected Toy, received Foo)"),
        (answer({**NEW, "metadata": {"name": "y", "uid": "u"}}),
         "returned invalid object: must have the same name: x != y"),
        (answer({**NEW, "metadata": {"name": "x", "uid": "u", "labels": {"a": 1}}}),
         "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object"),
    ],
)  # fmt: skip
def test_bad_answers(given: Object, expected: str) -> None:
    assert refusal(given) == f"{WHAT} {expected}"


def test_of_many_objects_one_is_told() -> None:
    other = {**NEW, "metadata": {"name": "x", "uid": "other"}}
    assert refusal(answer(NEW, other), OLD, OLD) == (
        f"{WHAT} returned invalid object: must have the same UID: u != other"
    )
