"""One node of a schema as a value, and the two things that every custom resource undergoes: pruning and defaulting.

A `Structural` is made from an OpenAPI v3 schema, of a built-in kind (see `catalog.py`) or of a
CustomResourceDefinition. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from kubarium.apimachinery.object import Object


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()
"""Stands for "no default", which differs from the default null."""


@dataclass(slots=True, eq=False)
class Structural:
    """What may stand at one place of an object. Never changed once it is made."""

    type: str = ""
    """`object`, `array`, `string`, `integer`, `number`, `boolean`, or nothing: anything may stand here."""
    format: str = ""
    properties: dict[str, Structural] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    items: Structural | None = None
    additional: Structural | None = None
    """The values of a map. A map has this, a struct has `properties`."""
    nullable: bool = False
    default: Any = MISSING
    list_type: str = "atomic"
    """`atomic`, `set` or `map`."""
    list_keys: tuple[str, ...] = ()
    map_type: str = "granular"
    """`granular` or `atomic`."""
    merge_key: str = ""
    """The key by which a strategic merge patch matches the items of this list."""
    merge_strategies: frozenset[str] = frozenset()
    preserve_unknown: bool = False
    embedded: bool = False
    """A whole object with apiVersion, kind and metadata stands here."""
    int_or_string: bool = False
    name: str = ""
    """The definition's name, for built-in kinds."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The schema document of this node: `enum`, `pattern`, `minimum`, `x-kubernetes-validations` and so on."""
    check: Any = field(default=None, repr=False)
    """The compiled validation, kept by `validation.py`."""

    def child(self, key: str) -> Structural | None:
        """What stands under a key of this object, or None when nothing is said about it."""
        return self.properties.get(key) or self.additional


ANY = Structural(preserve_unknown=True)
"""Anything at all."""

Resolve = Callable[[str], Structural]


def from_openapi(schema: Mapping[str, Any], resolve: Resolve | None = None) -> Structural:
    """The compiled form of an OpenAPI v3 schema. `resolve` finds the definition to which a `$ref` leads."""
    node = Structural()
    fill(node, schema, resolve)
    return node


def fill(node: Structural, schema: Mapping[str, Any], resolve: Resolve | None = None) -> None:
    """Write a schema into an empty node; separate from `from_openapi` so that a definition may contain itself."""
    node.source = schema
    node.type = schema.get("type") or ""
    node.format = schema.get("format") or ""
    node.required = tuple(schema.get("required") or ())
    node.nullable = bool(schema.get("nullable"))
    node.preserve_unknown = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    node.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    node.int_or_string = bool(schema.get("x-kubernetes-int-or-string")) or node.format == "int-or-string"
    if "default" in schema:
        node.default = schema["default"]
    _fill_merging(node, schema)
    properties = schema.get("properties") or {}
    node.properties = {key: _node_of(child, resolve) for key, child in properties.items()}
    if isinstance(items := schema.get("items"), Mapping):
        node.items = _node_of(items, resolve)
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        node.additional = _node_of(additional, resolve)
    elif additional is True:
        node.additional = ANY


def _fill_merging(node: Structural, schema: Mapping[str, Any]) -> None:
    node.list_type = schema.get("x-kubernetes-list-type") or node.list_type
    node.list_keys = tuple(schema.get("x-kubernetes-list-map-keys") or node.list_keys)
    node.map_type = schema.get("x-kubernetes-map-type") or node.map_type
    node.merge_key = schema.get("x-kubernetes-patch-merge-key") or node.merge_key
    if strategy := schema.get("x-kubernetes-patch-strategy"):
        node.merge_strategies = frozenset(strategy.split(","))


def _node_of(schema: Mapping[str, Any], resolve: Resolve | None) -> Structural:
    reference = schema.get("$ref")
    wrapped = schema.get("allOf")
    if reference is None and isinstance(wrapped, list) and len(wrapped) == 1:
        reference = wrapped[0].get("$ref")
    if reference is None or resolve is None:
        return from_openapi(schema, resolve)
    target = resolve(reference.rpartition("/")[2])
    if not any(key.startswith(("x-kubernetes-", "default")) for key in schema):
        return target
    node = replace(target)
    _fill_merging(node, schema)
    if "default" in schema:
        node.default = schema["default"]
    return node


_TYPE_META = frozenset(("apiVersion", "kind", "metadata"))


def prune(obj: Any, schema: Structural, root: bool = True) -> list[str]:
    """Drop in place what the schema does not know, and return the paths of what was dropped.

    With `root`, and in embedded resources, apiVersion, kind and metadata stay whatever the schema says.
    """
    dropped: list[str] = []
    _prune(obj, schema, root, "", dropped)
    return dropped


def _prune(value: Any, schema: Structural, root: bool, path: str, dropped: list[str]) -> None:
    if isinstance(value, dict):
        for key in list(value):
            if (root or schema.embedded) and key in _TYPE_META:
                continue
            child = schema.child(key)
            where = f"{path}.{key}" if path else key
            if child is not None:
                _prune(value[key], child, False, where, dropped)
            elif not schema.preserve_unknown:
                del value[key]
                dropped.append(where)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            _prune(item, schema.items, False, f"{path}[{index}]", dropped)


def embedded(value: Any, schema: Structural, path: str = "") -> Iterator[tuple[str, Object]]:
    """The whole objects that stand inside of an object, with their paths."""
    if isinstance(value, dict):
        if schema.embedded and path:
            yield path, value
        for key, part in value.items():
            child = schema.child(key)
            if child is not None and child is not ANY and isinstance(part, dict | list):
                yield from embedded(part, child, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from embedded(item, schema.items, f"{path}[{index}]")


def default(value: Any, schema: Structural) -> None:
    """Fill in a schema's defaults in place; a null that is not allowed becomes the default, or goes."""
    if isinstance(value, dict):
        _default_object(value, schema)
    elif isinstance(value, list) and schema.items is not None:
        items = schema.items
        for index, item in enumerate(value):
            if item is None and not items.nullable and items.default is not MISSING:
                value[index] = item = _fresh(items.default)
            default(item, items)


def _default_object(value: Object, schema: Structural) -> None:
    for key, child in schema.properties.items():
        if child.default is not MISSING and (key not in value or (value[key] is None and not child.nullable)):
            value[key] = _fresh(child.default)
    for key in list(value):
        known = schema.child(key)
        if known is None or known is ANY:
            continue
        if value[key] is None and not known.nullable:
            if known.default is not MISSING:
                value[key] = _fresh(known.default)
            else:
                del value[key]
                continue
        default(value[key], known)


def _fresh(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value
