"""What a conversion webhook answers, and what may be wrong with it.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
#webhook-request-and-response
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.registry.metadata import annotation_errors, label_errors
from kubarium.apimachinery import errors
from kubarium.apimachinery.codec import json_type
from kubarium.apimachinery.field_path import METADATA
from kubarium.apimachinery.go_text import go_type
from kubarium.apimachinery.group_version import split
from kubarium.apimachinery.object import Object

GROUP = "apiextensions.k8s.io"


class Converting:
    """One call of the webhook: the objects that were sent, and how its failures are told.

    Upstream converts what it reads one by one; whatever is wrong with many is told as of one of them.
    """

    def __init__(self, objects: Sequence[Object], api_version: str) -> None:
        self._objects = objects
        self._wanted = api_version
        first = objects[0]
        self._what = f"conversion webhook for {first.get('apiVersion')}, Kind={first.get('kind')}"

    def failed(self, why: str) -> errors.StatusError:
        """The call failed, or the webhook says that it could not do it."""
        return self._error(f"failed: {why}")

    def converted(self, answer: Object, review: str, uid: str) -> list[Object]:
        """The objects of an answer. Raises StatusError."""
        found = self._answered(answer, review, uid)
        if len(found) != len(self._objects):
            raise self._error(f"returned {len(found)} objects, expected {len(self._objects)}")
        return [self._checked(*pair) for pair in zip(self._objects, found, strict=True)]

    def _error(self, text: str) -> errors.StatusError:
        # Upstream has no reason for these.
        return errors.StatusError(f"{self._what} {text}", code=500, reason="")

    def _answered(self, answer: Object, review: str, uid: str) -> list[Any]:
        response = answer.get("response")
        if problem := _wrong_types(response):
            raise self.failed(problem)
        if problem := _wrong_review(answer, review):
            raise self.failed(problem)
        if response is None:
            raise self.failed("no response provided")
        if review == "v1" and response.get("uid") != uid:
            raise self.failed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
        result = response.get("result") or {}
        if result.get("status") != "Success":
            said = f"response.result.status was '{result.get('status') or ''}', not 'Success'"
            raise self.failed(result.get("message") or said)
        return response.get("convertedObjects") or []

    def _checked(self, before: Object, after: Any) -> Object:
        if not isinstance(after, dict):
            wrong = (
                f"json: cannot unmarshal {json_type(after)} into Go value of type map[string]interface {{}}"
            )
            text = "unexpected end of JSON input" if after is None else wrong
            raise errors.StatusError(text, code=500, reason="")
        if problem := self._wrong_type(before, after):
            raise self._error(f"returned invalid object at index 0: {problem}")
        if problem := _changed(before, after):
            raise self._error(f"returned invalid object: {problem}")
        metadata = dict(before.get("metadata") or {})
        if problem := _take_metadata(metadata, after):
            raise self._error(f"returned invalid metadata: {problem}")
        return {**after, "metadata": metadata}

    def _wrong_type(self, before: Object, after: Object) -> str:
        version, kind = after.get("apiVersion") or "", after.get("kind") or ""
        if version != self._wanted:
            return f"invalid groupVersion (expected {self._wanted}, received {'/'.join(filter(None, split(version)))})"
        if kind != before.get("kind"):
            return f"invalid kind (expected {before.get('kind')}, received {kind})"
        return ""


_TYPES = {
    "uid": (str, "types.UID"),
    "convertedObjects": (list, "[]runtime.RawExtension"),
    "result": (dict, "v1.Status"),
}


def _wrong_types(response: Any) -> str:
    """What Go could not decode."""
    where = "into Go struct field"
    if response is None:
        return ""
    if not isinstance(response, dict):
        given = json_type(response)
        return (
            f"json: cannot unmarshal {given} {where} ConversionReview.response of type v1.ConversionResponse"
        )
    for name, (kind, go_kind) in _TYPES.items():
        value = response.get(name)
        if value is not None and not isinstance(value, kind):
            place = f"ConversionResponse.response.{name} of type {go_kind}"
            return f"json: cannot unmarshal {json_type(value)} {where} {place}"
    return ""


_VERSIONS = ("v1", "v1beta1")
_SCHEME = "k8s.io/apiserver/pkg/util/webhook/client.go:71"  # what Go calls the table of what it can read


def _wrong_review(answer: Object, review: str) -> str:
    """What is wrong with the type of an answer."""
    version, kind = answer.get("apiVersion") or "", answer.get("kind") or ""
    if version and kind:
        if kind != "ConversionReview" or version not in [f"{GROUP}/{one}" for one in _VERSIONS]:
            return f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
        if version != f"{GROUP}/{review}":
            other = version.rpartition("/")[2]
            return f"converting ({other}.{kind}) to ({review}.{kind}): unknown conversion"
    elif review == "v1":
        expected = f"{GROUP}/v1, Kind=ConversionReview"
        return f"expected webhook response of {expected}, got {version or '/'}, Kind={kind}"
    return ""


def _changed(before: Object, after: Object) -> str:
    """A conversion keeps what an object is known by."""
    old, new = before.get("metadata") or {}, after.get("metadata")
    new = new if isinstance(new, dict) else {}
    for name, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        was, now = old.get(name) or "", new.get(name) or ""
        if was != now:
            return f"must have the same {shown}: {was} != {now}"
    return ""


def _take_metadata(metadata: Object, after: Object) -> str:
    """Of the metadata a conversion may only change labels and annotations; what is wrong with those."""
    converted = after.get("metadata")
    if converted is None:
        return "missing metadata in converted object"
    if not isinstance(converted, dict):
        return f"invalid metadata of type {go_type(converted)} in converted object"
    for name in ("labels", "annotations"):
        metadata.pop(name, None)
        values = converted.get(name)
        if values is None:
            continue
        if not isinstance(values, dict):
            return f"invalid metadata.{name} of type {go_type(values)} in converted object"
        for key, value in values.items():
            if not isinstance(value, str):
                said = f"must be a string, but is {go_type(value)} in converted object"
                return f"metadata.{name}[{key}] {said}"
        metadata[name] = values
    wrong = label_errors(metadata.get("labels") or {}, METADATA / "labels")
    return errors.together(
        wrong or annotation_errors(metadata.get("annotations") or {}, METADATA / "annotation")
    )
