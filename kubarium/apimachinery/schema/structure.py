"""Is the schema of a CustomResourceDefinition *structural*?

Every field has its type outside of allOf, anyOf, oneOf and not; whole objects are told from maps and from anything
at all; the metadata of the root belongs to the server.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-
a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import re2

from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, invalid, required

Document = Mapping[str, Any]

JUNCTORS = ("allOf", "anyOf", "oneOf")
EMBEDDED, INT_OR_STRING = "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EITHER = [{"type": "integer"}, {"type": "string"}]
_AT_ROOT, _OF_ITEMS, _OF_FIELDS = "at the root", "for specified array items", "for specified object fields"
_METADATA_RULE = (
    "must not specify anything other than name and generateName, but metadata is implicitly specified"
)
_NO_PROPERTIES = (
    "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
)
_SHAPING = {
    "type": "empty", "additionalProperties": "undefined", "default": "undefined", "title": "empty",
    "description": "empty", "nullable": "false", PRESERVE: "false", EMBEDDED: "false", INT_OR_STRING: "false",
    "x-kubernetes-list-map-keys": "empty", "x-kubernetes-list-type": "undefined",
    "x-kubernetes-map-type": "undefined", "x-kubernetes-validations": "empty",
}  # fmt: skip
"""Keywords that shape an object, and so may not stand inside allOf, anyOf, oneOf and not; how they should be."""
_PRESENT_COUNTS = frozenset(("default", "x-kubernetes-list-type", "x-kubernetes-map-type"))
_IN_GO = {"$schema": "schema"}
_UNKNOWN = ("id", "$schema", "$ref", "patternProperties", "dependencies", "definitions")


def structural_errors(document: Document, path: FieldPath) -> list[FieldError]:
    """What is not structural in a version's schema, in the order of the texts; `path` leads to it."""
    found = [*_errors(document, path, _AT_ROOT), *_completeness_errors(document, path)]
    return sorted(found, key=str)


def unsupported(document: Any) -> str:
    """Why a schema cannot be read as a structural one at all, or nothing."""
    if not isinstance(document, Mapping):
        return ""
    for keyword in _UNKNOWN:
        if document.get(keyword):
            return f"OpenAPIV3Schema '{_IN_GO.get(keyword, keyword)}' is not supported"
    if document.get("additionalItems") is not None:
        return "OpenAPIV3Schema 'additionalItems' is not supported"
    if isinstance(document.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return next(filter(None, map(unsupported, children(document))), "")


def children(document: Document) -> Iterator[Any]:
    """The schemas directly below a schema."""
    for keyword in JUNCTORS:
        yield from document.get(keyword) or ()
    yield from (document.get(keyword) for keyword in ("not", "items", "additionalProperties"))
    yield from (document.get("properties") or {}).values()


def _errors(document: Document, path: FieldPath, level: str) -> Iterator[FieldError]:
    yield from _shape_errors(document, path, level)
    yield from _child_errors(document, path, level)
    yield from _value_errors(document, path, _skipped(document))
    yield from _metadata_errors(document, path, level)


def _shape_errors(document: Document, path: FieldPath, level: str) -> Iterator[FieldError]:
    kind, embedded = document.get("type") or "", bool(document.get(EMBEDDED))
    either, anything = bool(document.get(INT_OR_STRING)), bool(document.get(PRESERVE))
    if kind == "array" and document.get("items") is None:
        yield required(path / "items", "must be specified")
    if either and anything:
        yield invalid(path / PRESERVE, True, "must be false if x-kubernetes-int-or-string is true")
    if either and embedded:
        yield invalid(path / EMBEDDED, True, "must be false if x-kubernetes-int-or-string is true")
    if embedded and kind != "object":
        yield wrong_type(path, kind, "must be object if x-kubernetes-embedded-resource is true")
    elif not kind and not either and not anything:
        yield required(path / "type", f"must not be empty {level}")
    if embedded and document.get("additionalProperties") is not None:
        text = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(path / "additionalProperties", text)
    if level == _AT_ROOT and kind not in ("", "object"):
        yield invalid(path / "type", kind, "must be object at the root")
    if embedded and not anything and not document.get("properties"):
        yield required(path / "properties", _NO_PROPERTIES)


def wrong_type(path: FieldPath, kind: str, text: str) -> FieldError:
    """The type is not what another keyword needs: missing or wrong."""
    return invalid(path / "type", kind, text) if kind else required(path / "type", text)


def _child_errors(document: Document, path: FieldPath, level: str) -> Iterator[FieldError]:
    if isinstance(items := document.get("items"), Mapping):
        yield from _errors(items, path / "items", _OF_ITEMS)
    for key, child in (document.get("properties") or {}).items():
        yield from _errors(child, (path / "properties").key(key), _OF_FIELDS)
    additional = document.get("additionalProperties")
    if additional is not None and level == _AT_ROOT:
        yield forbidden(path / "additionalProperties", "must not be used at the root")
    if isinstance(additional, Mapping):
        yield from _errors(additional, path / "additionalProperties", _OF_FIELDS)


def _metadata_errors(document: Document, path: FieldPath, level: str) -> Iterator[FieldError]:
    properties = document.get("properties") or {}
    whole = level == _AT_ROOT or bool(document.get(EMBEDDED))
    for key in ("kind", "apiVersion"):
        kind = (properties.get(key) or {}).get("type") or ""
        if whole and key in properties and kind != "string":
            yield invalid((path / "properties").key(key) / "type", kind, "must be string")
    if (metadata := properties.get("metadata")) is None:
        return
    at = (path / "properties").key("metadata")
    if whole and metadata.get("type") != "object":
        yield invalid(at / "type", metadata.get("type") or "", "must be object")
    if level == _AT_ROOT and _says_more(metadata):
        yield forbidden(at, _METADATA_RULE)


def _says_more(metadata: Document) -> bool:
    """Does it say anything but that it is an object with a name?"""
    if any(value for keyword, value in metadata.items() if keyword not in ("type", "default", "properties")):
        return True
    return not set(metadata.get("properties") or ()) <= {"name", "generateName"}


def _skipped(document: Document) -> frozenset[str]:
    """Where the customary `anyOf: [{type: integer}, {type: string}]` stands, which may name types."""
    if document.get("anyOf") == _EITHER:
        return frozenset(("anyOf",))
    first = (document.get("allOf") or [{}])[0]
    return frozenset(("allOf",)) if first.get("anyOf") == _EITHER else frozenset()


def _value_errors(
    document: Document, path: FieldPath, skipped: frozenset[str] = frozenset()
) -> Iterator[FieldError]:
    """What stands in the junctors, and the pattern."""
    for junctor in JUNCTORS:
        if junctor == "anyOf" and junctor in skipped:
            continue
        for index, branch in enumerate(document.get(junctor) or ()):
            first = junctor == "allOf" and junctor in skipped and index == 0
            inner: frozenset[str] = frozenset(("anyOf",)) if first else frozenset()
            yield from _branch_errors(branch, path / junctor % index, inner)
    if isinstance(document.get("not"), Mapping):
        yield from _branch_errors(document["not"], path / "not")
    if pattern := document.get("pattern"):
        try:
            re2.compile(pattern)
        except re2.error as error:
            text = f"must be a valid regular expression, but isn't: {_in_go(error)}"
            yield invalid(path / "pattern", pattern, text)


def _branch_errors(
    document: Document, path: FieldPath, skipped: frozenset[str] = frozenset()
) -> Iterator[FieldError]:
    yield from _value_errors(document, path, skipped)
    if isinstance(items := document.get("items"), Mapping):
        yield from _branch_errors(items, path / "items")
    properties = document.get("properties") or {}
    for key, child in properties.items():
        yield from _branch_errors(child, (path / "properties").key(key))
    for keyword, state in _SHAPING.items():
        value = document.get(keyword)
        if value or (value is not None and keyword in _PRESENT_COUNTS):
            yield forbidden(path / keyword, f"must be {state} to be structural")
    if "metadata" in properties:
        at = (path / "properties").key("metadata")
        yield forbidden(at, "must not be specified in a nested context")


_GO_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "trailing \\": "trailing backslash at end of expression",
}


def _in_go(error: re2.error) -> str:
    """What the library says of an expression, as its sister in Go says it."""
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    what, _, where = text.partition(": ")
    return f"error parsing regexp: {_GO_WORDS.get(what, what)}: `{where}`"


def _completeness_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    """What the junctors of the root say of fields and items that the schema itself does not have."""
    for branch, at in _branches(document, path):
        yield from _missing(branch, document, at, path)


def _branches(document: Document, path: FieldPath) -> Iterator[tuple[Document, FieldPath]]:
    if isinstance(document.get("not"), Mapping):
        yield document["not"], path / "not"
    for junctor in JUNCTORS:
        for index, branch in enumerate(document.get(junctor) or ()):
            yield branch, path / junctor % index


def _missing(
    branch: Document, document: Document | None, path: FieldPath, at: FieldPath
) -> Iterator[FieldError]:
    """`path` leads to the branch, `at` to what it speaks of."""
    if document is None:
        yield required(at, f"because it is defined in {path}")
        return
    for inner, where in _branches(branch, path):
        yield from _missing(inner, document, where, at)
    if isinstance(items := branch.get("items"), Mapping):
        yield from _missing(items, document.get("items"), path / "items", at / "items")
    known = document.get("properties") or {}
    for key, child in (branch.get("properties") or {}).items():
        where, there = (path / "properties").key(key), (at / "properties").key(key)
        yield from _missing(child, known.get(key), where, there)
