"""What a conversion webhook answers, and what may be wrong with it.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
#webhook-request-and-response
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubarium.apimachinery import errors
from kubarium.apimachinery.apply.value_types import go_type
from kubarium.apimachinery.group_version import split
from kubarium.apimachinery.object import Object

GROUP = "apiextensions.k8s.io"


class Converting:
    """One call of the webhook: the objects that were sent, and how its failures are told."""

    def __init__(self, objects: Sequence[Object], api_version: str) -> None:
        self._objects = objects
        self._wanted = api_version
        self._many = len(objects) > 1
        kind = f"{objects[0].get('kind')}{'List' if self._many else ''}"
        self._what = f"conversion webhook for {objects[0].get('apiVersion')}, Kind={kind}"

    def failed(self, why: str) -> errors.StatusError:
        """The call failed, or the webhook says that it could not do it."""
        return self._error(f"failed: {why}")

    def converted(self, answer: Object, review: str, uid: str) -> list[Object]:
        """The objects of an answer. Raises StatusError."""
        found = self._answered(answer, review, uid)
        if len(found) != len(self._objects):
            raise self._error(f"returned {len(found)} objects, expected {len(self._objects)}")
        return [
            self._checked(index, *pair) for index, pair in enumerate(zip(self._objects, found, strict=True))
        ]

    def _error(self, text: str) -> errors.StatusError:
        # Upstream has no reason for these.
        return errors.StatusError(f"{self._what} {text}", code=500, reason="")

    def _answered(self, answer: Object, review: str, uid: str) -> list[Any]:
        response = answer.get("response")
        if review == "v1":
            got = f"{answer.get('apiVersion') or '/'}, Kind={answer.get('kind') or ''}"
            expected = f"{GROUP}/v1, Kind=ConversionReview"
            if got != expected:
                raise self.failed(f"expected webhook response of {expected}, got {got}")
        if response is None:
            raise self.failed("no response provided")
        if review == "v1" and response.get("uid") != uid:
            raise self.failed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
        result = response.get("result") or {}
        if result.get("status") != "Success":
            said = f"response.result.status was '{result.get('status') or ''}', not 'Success'"
            raise self.failed(result.get("message") or said)
        return response.get("convertedObjects") or []

    def _checked(self, index: int, before: Object, after: Object) -> Object:
        if problem := self._wrong_type(before, after):
            of_list = f"returned invalid converted object at index {index}"
            raise self._error(f"{of_list if self._many else 'returned invalid object at index 0'}: {problem}")
        if problem := _changed(before, after):
            of_list = f"returned invalid converted object at index {index}"
            raise self._error(f"{of_list if self._many else 'returned invalid object'}: {problem}")
        metadata = dict(before.get("metadata") or {})
        if problem := _take_metadata(metadata, after):
            of_list = f"returned invalid metadata in object at index {index}"
            raise self._error(f"{of_list if self._many else 'returned invalid metadata'}: {problem}")
        return {**after, "metadata": metadata}

    def _wrong_type(self, before: Object, after: Object) -> str:
        version, kind = after.get("apiVersion") or "", after.get("kind") or ""
        if version != self._wanted:
            return f"invalid groupVersion (expected {self._wanted}, received {'/'.join(filter(None, split(version)))})"
        if kind != before.get("kind"):
            return f"invalid kind (expected {before.get('kind')}, received {kind})"
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
    return ""
