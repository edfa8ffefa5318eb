"""The schemas of custom resources as OpenAPI documents publish them.

A definition's schema is read as upstream holds it, so that what says nothing (empty texts, `false`, null) is left out;
every object gets apiVersion, kind and metadata; and version 2 goes without what it cannot say.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/controller/openapi and pkg/apiserver/schema
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object

Schema = Mapping[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_METADATA = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_API_VERSION = {
    "type": "string",
    "description": "APIVersion defines the versioned schema of this representation of an object. Servers should "
    "convert recognized schemas to the latest internal value, and may reject unrecognized values. "
    f"More info: {_CONVENTIONS}#resources",
}
_KIND = {
    "type": "string",
    "description": "Kind is a string value representing the REST resource this object represents. Servers may infer "
    f"this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: {_CONVENTIONS}"
    "#types-kinds",
}
_EMBEDDED_API_VERSION = {
    "type": "string",
    "description": "apiVersion defines the versioned schema of this representation of an object. "
    f"More info: {_CONVENTIONS}#resources",
}
_EMBEDDED_KIND = {
    "type": "string",
    "description": "kind is a string value representing the type of this object. In CamelCase. "
    f"More info: {_CONVENTIONS}#types-kinds",
}
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_RULES = "x-kubernetes-validations"
_KINDS = "x-kubernetes-group-version-kind"

_WORTH_A_WORD = (  # said only where they are true, or not empty
    "type", "nullable", "description", "title", _PRESERVE, _EMBEDDED, _INT_OR_STRING, "x-kubernetes-list-map-keys",
    "format", "exclusiveMaximum", "exclusiveMinimum", "pattern", "uniqueItems", "required",
)  # fmt: skip
_GIVEN = (
    "x-kubernetes-list-type", "x-kubernetes-map-type", "maxLength", "minLength", "maxItems", "minItems",
    "maxProperties", "minProperties",
)  # fmt: skip
_FLOATS = ("maximum", "minimum", "multipleOf")
_RULE_FIELDS = ("message", "messageExpression", "reason", "fieldPath")
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_ONLY_V3 = (*_JUNCTORS, "not", "nullable", "default")
_EITHER = [{"type": "integer"}, {"type": "string"}]


def definitions(
    kind: GroupVersionKind,
    list_kind: str,
    plural: str,
    document: Schema,
    selectable: Sequence[str] = (),
    *,
    v2: bool = False,
) -> dict[str, Any]:
    """The schema of a kind and that of its list, by their names. `selectable` are the paths of selectable fields."""
    prefix = "#/definitions/" if v2 else "#/components/schemas/"
    shown = _published(document, prefix, v2) | {_KINDS: [_named(kind, kind.kind)]}
    listed = {
        "type": "object",
        "description": f"{list_kind} is a list of {kind.kind}",
        "required": ["items"],
        "properties": {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "metadata": _reference(prefix, "ListMeta", _LIST_METADATA, v2),
            "items": {
                "type": "array",
                "items": {"$ref": prefix + definition_name(kind, kind.kind)},
                "description": f"List of {plural}. More info: {_CONVENTIONS}",
            },
        },
        _KINDS: [_named(kind, list_kind)],
    }
    if selectable:
        fields = [{"fieldPath": path.removeprefix(".")} for path in selectable]
        shown["x-kubernetes-selectable-fields"] = listed["x-kubernetes-selectable-fields"] = fields
    return {definition_name(kind, kind.kind): shown, definition_name(kind, list_kind): listed}


def definition_name(version: GroupVersionKind, kind: str) -> str:
    """`com.example.stable.v1.CronTab`: the name of a schema."""
    return ".".join([*reversed(version.group.split(".")), version.version, kind])


def _named(kind: GroupVersionKind, name: str) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": name}


def _reference(prefix: str, name: str, description: str, v2: bool) -> Object:
    """A field of a shared type; version 3 allows no description next to a reference."""
    reference = {"$ref": prefix + _META + name}
    return {"description": description, **(reference if v2 else {"allOf": [reference]})}


def _published(document: Schema, prefix: str, v2: bool) -> Object:
    if not document or (v2 and document.get(_PRESERVE)):
        return {"type": "object"}  # kubectl would take named properties for all that there are
    shown = _as_held(document)
    if v2:
        shown = _as_v2(shown)
    metadata = _reference(prefix, "ObjectMeta", _METADATA, v2)
    own = {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": metadata}
    shown["properties"] = (shown.get("properties") or {}) | own
    _embed(shown, metadata, v2)
    return shown


def _as_held(schema: Schema, *, nested: bool = False) -> Object:
    """A schema with the keywords that say something. Nested are those below allOf, anyOf, oneOf and not."""
    found = {name: value for name in _WORTH_A_WORD if (value := schema.get(name))}
    found |= {name: value for name in _GIVEN if (value := schema.get(name)) is not None}
    found |= {name: _float(value) for name in _FLOATS if (value := schema.get(name)) is not None}
    found |= {name: _value(schema[name]) for name in ("default", "example") if schema.get(name) is not None}
    if choices := schema.get("enum"):
        found["enum"] = _value(choices)
    if (docs := schema.get("externalDocs")) is not None:
        found["externalDocs"] = {name: docs[name] for name in ("description", "url") if docs.get(name)}
    if rules := schema.get(_RULES):
        found[_RULES] = [_rule(rule) for rule in rules]
    if properties := schema.get("properties"):
        found["properties"] = {name: _as_held(child, nested=nested) for name, child in properties.items()}
    if isinstance(schema.get("items"), Mapping):
        found["items"] = _as_held(schema["items"], nested=nested)
    additional = schema.get("additionalProperties")
    if additional is not None and not nested:
        found["additionalProperties"] = (
            _as_held(additional) if isinstance(additional, Mapping) else additional
        )
    for name in _JUNCTORS:
        if parts := schema.get(name):
            found[name] = [_as_held(part, nested=True) for part in parts]
    if schema.get("not") is not None:
        found["not"] = _as_held(schema["not"], nested=True)
    return _unfolded(found) if found.get(_INT_OR_STRING) and not nested else found


def _rule(rule: Schema) -> Object:
    found = {"rule": rule.get("rule") or ""}
    found |= {name: value for name in _RULE_FIELDS if (value := rule.get(name))}
    if rule.get("optionalOldSelf") is not None:
        found["optionalOldSelf"] = rule["optionalOldSelf"]
    return found


def _unfolded(schema: Object) -> Object:
    """`x-kubernetes-int-or-string` in the words that every reader of OpenAPI understands."""
    any_of, all_of = schema.get("anyOf"), schema.get("allOf") or []
    if any_of == _EITHER or (all_of and all_of[0] == {"anyOf": _EITHER}):
        return schema
    if any_of is None:
        return schema | {"anyOf": _EITHER}
    return schema | {"allOf": [{"anyOf": _EITHER}, *all_of]}


def _float(value: Any) -> Any:
    """A limit, which upstream holds as a double, as it writes it."""
    return _value(float(value))


def _value(value: Any) -> Any:
    """JSON as Go writes what it has read: without the fraction of numbers that have none."""
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 1 << 64
        return int(Decimal(repr(value))) if whole else value
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if isinstance(value, list) else value


def _children(schema: Object) -> list[Object]:
    found = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return [child for child in found if isinstance(child, dict)]


def _embed(schema: Object, metadata: Object, v2: bool) -> None:
    """Embedded resources have kind, version and metadata, whether or not the definition says so. In place."""
    for child in _children(schema):
        if child is not metadata:
            _embed(child, metadata, v2)
    if not schema.get(_EMBEDDED) or (v2 and schema.get(_PRESERVE)):
        return
    own = {"apiVersion": _EMBEDDED_API_VERSION, "kind": _EMBEDDED_KIND, "metadata": metadata}
    schema["properties"] = (schema.get("properties") or {}) | own
    required = schema.get("required") or []
    schema["required"] = [*required, *(name for name in ("kind", "apiVersion") if name not in required)]


def _as_v2(schema: Object) -> Object:
    """Version 2 cannot say everything: what it cannot say is left out, and where that matters anything goes."""
    found = {key: value for key, value in schema.items() if key not in _ONLY_V3}
    if schema.get("nullable") or schema.get(_PRESERVE):
        found.pop("items", None)
        found.pop("properties", None)
    untyped = schema.get("nullable") or (schema.get(_PRESERVE) and found.get("type") == "object")
    if untyped or (found.get("type") == "array" and "items" not in found):
        found.pop("type", None)
    properties, additional = found.get("properties") or {}, found.get("additionalProperties")
    if isinstance(additional, dict) and additional.get("nullable"):
        found.pop("required", None)
    if "required" in found:
        needed = [name for name in found["required"] if not (properties.get(name) or {}).get("nullable")]
        found |= {"required": needed}
        if not needed:
            del found["required"]
    if properties:
        found["properties"] = {name: _as_v2(child) for name, child in properties.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), dict):
            found[name] = _as_v2(found[name])
    return found
