"""The names of a CustomResourceDefinition, and the paths by which its versions find columns and scales.

Source: https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, invalid, required
from kubarium.apimachinery.names import dns_1035_errors
from kubarium.apimachinery.object import Object

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def name_errors(names: Object) -> Iterator[FieldError]:
    """Names are labels of DNS; kinds only may have capitals."""
    at = SPEC / "names"
    for field in ("plural", "singular"):
        yield from _label(at / field, names.get(field) or "")
    for field in ("kind", "listKind"):
        text = names.get(field) or ""
        if text and (wrong := dns_1035_errors(text.lower())):
            said = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield invalid(at / field, text, said)
    for field in ("shortNames", "categories"):
        for index, text in enumerate(names.get(field) or ()):
            yield from _label(at / field % index, text)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid(at / "listKind", names["listKind"], "kind and listKind may not be the same")


def _label(path: FieldPath, text: str) -> Iterator[FieldError]:
    wrong = dns_1035_errors(text) if text else []
    if wrong:
        yield invalid(path, text, ",".join(wrong))


def version_errors(versions: Sequence[Object]) -> Iterator[FieldError]:
    """What each version says of itself; what all of them say alike is told of the definition."""
    for index, version in enumerate(versions):
        yield from _label(SPEC / "versions" % index / "name", version.get("name") or "")
    for part, errors_of in (("subresources", _scale_errors), ("additionalPrinterColumns", _column_errors)):
        for value, at in _hoisted(versions, part):
            yield from errors_of(value, at)


def _hoisted(versions: Sequence[Object], part: str) -> Iterator[tuple[Any, FieldPath]]:
    found = [version.get(part) for version in versions]
    if found and all(value == found[0] for value in found):
        yield found[0], SPEC / part
        return
    for index, value in enumerate(found):
        yield value, SPEC / "versions" % index / part


def _scale_errors(subresources: Object | None, at: FieldPath) -> Iterator[FieldError]:
    scale = (subresources or {}).get("scale")
    if scale is None:
        return
    for field, roots, where in (
        ("specReplicasPath", (".spec.",), "under .spec"),
        ("statusReplicasPath", (".status.",), "under .status"),
        ("labelSelectorPath", (".spec.", ".status."), "under either .spec or .status"),
    ):
        path, text = at / "scale" / field, scale.get(field) or ""
        if not text:
            if field != "labelSelectorPath":
                yield required(path)
        elif text[0] != ".":
            yield invalid(path, text, "must be a simple json path starting with .")
        elif not text.startswith(roots):
            yield invalid(path, text, f"should be a json path {where}")


def _column_errors(columns: Sequence[Object] | None, at: FieldPath) -> Iterator[FieldError]:
    for index, column in enumerate(columns or ()):
        here = at % index
        if not column.get("name"):
            yield required(here / "name")
        kind, text = column.get("type") or "", column.get("jsonPath") or ""
        if kind not in _COLUMN_TYPES:
            allowed = f"must be one of {','.join(_COLUMN_TYPES)}"
            yield invalid(here / "type", kind, allowed) if kind else required(here / "type", allowed)
        if (form := column.get("format")) and form not in _COLUMN_FORMATS:
            yield invalid(here / "format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not text:
            yield required(here / "JSONPath")
        elif text[0] != ".":
            yield invalid(here / "JSONPath", text, "must be a simple json path starting with .")
