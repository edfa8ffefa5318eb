"""The names of a CustomResourceDefinition, and the paths by which its versions find columns and scales.

Source: https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    required,
    too_many,
)
from kubarium.apimachinery.names import dns_1035_errors
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema.json_paths import BadFieldPath, resolved
from kubarium.apimachinery.schema.structural import Structural

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def name_errors(names: Object, at: FieldPath) -> Iterator[FieldError]:
    """Names are labels of DNS; kinds only may have capitals."""
    for field in ("plural", "singular"):
        yield from _label(at / field, names.get(field) or "")
    for field in ("kind", "listKind"):
        text = names.get(field) or ""
        if text and (wrong := dns_1035_errors(text.lower())):
            said = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield invalid(at / field, text, said)
    for field in ("shortNames", "categories"):
        for index, text in enumerate(names.get(field) or ()):
            yield from must_be_label(at / field % index, text)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid(at / "listKind", names["listKind"], "kind and listKind may not be the same")


def _label(path: FieldPath, text: str) -> Iterator[FieldError]:
    wrong = dns_1035_errors(text) if text else []
    if wrong:
        yield invalid(path, text, ",".join(wrong))


def must_be_label(path: FieldPath, text: str) -> Iterator[FieldError]:
    """A label that may not be empty either."""
    if wrong := dns_1035_errors(text):
        yield invalid(path, text, ",".join(wrong))


def hoisted(versions: Sequence[Object], part: str) -> Iterator[tuple[Any, FieldPath, Object]]:
    """What versions say of something, where, and a version that says it.

    What all of them say alike is told of the definition, as in upstream's internal form.
    """
    found = [version.get(part) for version in versions]
    if found and found[0] and all(value == found[0] for value in found):
        yield found[0], SPEC / part, versions[0]
        return
    for index, version in enumerate(versions):
        yield version.get(part), SPEC / "versions" % index / part, version


def scale_errors(subresources: Object | None, at: FieldPath) -> Iterator[FieldError]:
    """The paths by which a Scale finds its numbers."""
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


def column_errors(columns: Sequence[Object] | None, at: FieldPath) -> Iterator[FieldError]:
    """What `kubectl get` prints."""
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


def selectable_errors(
    fields: Sequence[Object], schema: Structural, at: FieldPath, *, any_number: bool = False
) -> Iterator[FieldError]:
    """The fields by which lists can be selected: eight plain values outside of the metadata."""
    seen: set[FieldPath] = set()
    for index, field in enumerate(fields):
        here, text = at % index / "jsonPath", field.get("jsonPath") or ""
        if not text:
            yield required(here)
            continue
        try:
            path, found = resolved(text, schema, brackets=False)
        except BadFieldPath as error:
            yield invalid(here, text, f"is an invalid path: {error}")
            continue
        if path.text.partition(".")[0] == "metadata":
            yield invalid(here, text, "must not point to fields in metadata")
        if found.type not in _SELECTABLE_TYPES:
            yield invalid(here, text, _NOT_SELECTABLE)
        if path in seen:
            yield duplicate(here, text)
        seen.add(path)
    if len(seen) > MOST_SELECTABLE and not any_number:
        yield too_many(at, len(seen), MOST_SELECTABLE)


MOST_SELECTABLE = 8
_SELECTABLE_TYPES = ("string", "boolean", "integer")
_NOT_SELECTABLE = (
    "must point to a field of type string, boolean or integer. "
    "Enum string fields and strings with formats are allowed."
)


def deprecation_errors(version: Object, at: FieldPath) -> Iterator[FieldError]:
    """What clients of an old version are told: one printable line."""
    text = version.get("deprecationWarning")
    if text is None:
        return
    path = at / "deprecationWarning"
    if not version.get("deprecated"):
        yield invalid(path, text, "can only be set for deprecated versions")
        return
    if len(text.encode()) > _LONGEST_WARNING:
        yield invalid(path, text, f"must be <= {_LONGEST_WARNING} characters long")
    if not text:
        yield invalid(path, text, "must not be an empty string")
    place = 0  # in bytes
    for character in text:
        if not character.isprintable():
            said = f"non-printable character found at index {place}"
            yield invalid(path, text, f"must only contain printable UTF-8 characters; {said}")
            break
        place += len(character.encode())


_LONGEST_WARNING = 256
