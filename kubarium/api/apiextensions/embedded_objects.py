"""Whole objects that stand inside of a custom resource: they have a kind, a version and proper metadata.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
#rawextension
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required
from kubarium.apimachinery.metadata import validate_annotations, validate_labels
from kubarium.apimachinery.schema.structural import ANY, Structural


def errors(value: Any, schema: Structural, path: FieldPath) -> Iterator[FieldError]:
    """The errors of the embedded objects of a value, and of the value itself if it is one."""
    if isinstance(value, dict):
        if schema.embedded:
            yield from _object_errors(value, path)
        for key, child in value.items():
            known = schema.properties.get(key)
            below = known or schema.additional
            if below is not None and below is not ANY and isinstance(child, dict | list):
                yield from errors(child, below, path / key if known is not None else path.key(key))
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from errors(item, schema.items, path % index)


def _object_errors(obj: Mapping[str, Any], path: FieldPath) -> Iterator[FieldError]:
    for field in ("apiVersion", "kind"):
        if field not in obj:
            yield required(path / field)
            continue
        text, at = obj[field], path / field
        if not isinstance(text, str):
            yield invalid(at, text, "must be a string")
        elif not text:
            yield invalid(at, text, "must not be empty")
        elif field == "kind" and (wrong := names.dns_1035_errors(text.lower())):
            said = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield invalid(at, text, said)
        elif field == "apiVersion" and text.count("/") > 1:
            yield invalid(at, text, f"unexpected GroupVersion string: {text}")
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        yield from _metadata_errors(metadata, path / "metadata")


def _metadata_errors(metadata: Mapping[str, Any], path: FieldPath) -> Iterator[FieldError]:
    for field in ("generateName", "name"):
        if text := metadata.get(field) or "":
            yield from (invalid(path / field, text, wrong) for wrong in names.path_segment_errors(text))
    if namespace := metadata.get("namespace") or "":
        yield from (
            invalid(path / "namespace", namespace, wrong) for wrong in names.dns_label_errors(namespace)
        )
    yield from validate_labels(metadata.get("labels"), path / "labels")
    yield from validate_annotations(metadata.get("annotations"), path / "annotations")
