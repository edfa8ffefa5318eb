"""The schema of a version of a CustomResourceDefinition: all that may be wrong with it.

1. It is structural (`structure.py`).
2. Its defaults fit it (`default_values.py`); only asked if it is structural.
3. Its keywords mean something where they stand (`rules.py`).
4. Its rules in CEL compile and are not too dear; only asked if the first two are fine,
   and not where a keyword is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubarium.api.apiextensions import default_values
from kubarium.apimachinery.cel.validation_rules import KEYWORD, Rules
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, invalid
from kubarium.apimachinery.schema.rules import NOTHING, Allowances, keyword_errors, nodes
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.apimachinery.schema.structure import structural_errors, unsupported

Document = Mapping[str, Any]

_ALLOWED_AT_ROOT = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum",
    "MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items",
    "Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_REFUSED_BEFORE_TYPE = ("id", "$schema", "$ref")
_REFUSED_AT_ROOT = (
    "nullable", "default", "enum", "maxProperties", "minProperties", "allOf", "oneOf", "anyOf", "not",
    "additionalProperties", "patternProperties", "dependencies", "additionalItems", "definitions",
    "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type", "x-kubernetes-map-type",
)  # fmt: skip


@dataclass(frozen=True)
class Leniency:
    """What an update lets pass because it was there before."""

    allowances: Allowances = NOTHING
    unpruned_defaults: bool = False
    costs: bool = False  # of single rules, where the schema is the one of before


STRICT = Leniency()


def schema_errors(
    schema: Document, path: FieldPath, *, has_status: bool, leniency: Leniency = STRICT
) -> list[FieldError]:
    """Every error in a schema; `path` leads to it."""
    found = [*_root_errors(schema, path)] if has_status else []
    if schema.get("nullable"):
        found.append(forbidden(path / "nullable", "nullable cannot be true at the root"))
    unreadable = unsupported(schema)
    shape = [] if unreadable else structural_errors(schema, path)
    if not shape and not unreadable:
        shape = default_values.errors(schema, path, pruned=not leniency.unpruned_defaults)
    wrong = keyword_errors(schema, path, leniency.allowances)
    found += [*shape, *wrong]
    if not shape and not unreadable:
        found += _rule_errors(schema, path, wrong, leniency)
    if unreadable and not found:
        found.append(invalid(path, "", unreadable))
    return found


def _root_errors(schema: Document, path: FieldPath) -> Iterator[FieldError]:
    """With a status subresource the schema of the status must be told by `properties` alone; one error is enough."""
    text = f"only [{' '.join(_ALLOWED_AT_ROOT)}] fields are allowed at the root of the schema if the status "
    text += "subresource is enabled"
    kind = schema.get("type") or ""
    if any(schema.get(keyword) for keyword in _REFUSED_BEFORE_TYPE):
        yield invalid(path, dict(schema), text)
    elif kind not in ("", "object"):
        words = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield invalid(path / "type", kind, words)
    elif any(schema.get(keyword) not in (None, False, "", []) for keyword in _REFUSED_AT_ROOT):
        yield invalid(path, dict(schema), text)


def _rule_errors(
    schema: Document, path: FieldPath, wrong: list[FieldError], leniency: Leniency
) -> Iterator[FieldError]:
    if not any(node.get(KEYWORD) for node in nodes(schema)):
        return
    broken = [error.path.text for error in wrong]
    for error in Rules(from_openapi(schema), path).errors:
        node = error.path.text.rpartition(f".{KEYWORD}[")[0]
        if node and any(at == node or at.startswith((f"{node}.", f"{node}[")) for at in broken):
            continue
        if leniency.costs and error.body.startswith("Forbidden: estimated "):
            continue
        yield error
