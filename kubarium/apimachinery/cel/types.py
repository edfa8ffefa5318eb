"""The types of CEL values, known before an expression runs.

dyn  bool  int  uint  double  string  bytes  null  timestamp  duration  type
list(T)  map(K, V)  optional(T)  object (fields by name)  and names such as quantity, net.IP of the libraries
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from kubarium.apimachinery.schema.structural import Structural


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """One type. Objects know their fields; a field's type is found when it is asked for."""

    kind: str
    params: tuple[Type, ...] = ()
    name: str = ""
    field_of: Callable[[str], Type | None] | None = field(default=None, repr=False)
    size: int | None = None
    """How many characters, items or entries a value may have at most, where the schema limits it."""

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.params and not (
            self.kind in ("list", "map") and all(p.kind == "dyn" and not p.name for p in self.params)
        ):
            kind = {"optional": "optional_type"}.get(self.kind, self.kind)
            return f"{kind}({', '.join(map(str, self.params))})"
        return {"list": "list(dyn)", "map": "map(dyn, dyn)"}.get(self.kind, self.kind)


DYN = Type("dyn")
BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
DOUBLE = Type("double")
STRING = Type("string")
BYTES = Type("bytes")
NULL = Type("null", name="null")
TIMESTAMP = Type("timestamp")
DURATION = Type("duration")
TYPE = Type("type")
ERROR = Type("dyn", name="!error!")
"""Of what is wrong: nothing more is said about it."""
_PLAIN = {
    kind.kind: kind for kind in (DYN, BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, TIMESTAMP, DURATION, TYPE)
}


def list_of(item: Type) -> Type:
    """A list of items of one type."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """A map."""
    return Type("map", (key, value))


LARGEST_REQUEST = 3 * 1024 * 1024
"""No value is larger than the request that brings it."""
_LONGEST = LARGEST_REQUEST - 2  # what is between quotes or brackets


def optional_of(value: Type) -> Type:
    """A value that may be absent."""
    return Type("optional", (value,), "")


def object_of(fields: Mapping[str, Type], name: str = "object") -> Type:
    """An object with these fields."""
    return Type("object", (), name, fields.get)


_NAMES_OF_LIBRARIES = {
    "ip": "net.IP", "cidr": "net.CIDR", "quantity": "kubernetes.Quantity", "semver": "kubernetes.Semver",
    "url": "kubernetes.URL", "format": "kubernetes.NamedFormat",
    "authorizer": "kubernetes.authorization.Authorizer", "decision": "kubernetes.authorization.Decision",
    "path_check": "kubernetes.authorization.PathCheck", "group_check": "kubernetes.authorization.GroupCheck",
    "resource_check": "kubernetes.authorization.ResourceCheck",
}  # fmt: skip


@lru_cache(None)
def named(kind: str) -> Type:
    """A plain type, or one that a library adds."""
    return _PLAIN.get(kind) or Type(kind, name=_NAMES_OF_LIBRARIES.get(kind, ""))


def of_schema(schema: Structural, *, root: bool = False) -> Type:
    """The type of what a schema describes. Of the metadata of a custom resource's root, rules see only the names.

    Sizes are what the schema allows, or else what fits into a request: upstream's figures, because definitions are
    refused by them. Source: staging/src/k8s.io/apiserver/pkg/cel/common/schemas.go
    """
    if schema.int_or_string:
        return replace(DYN, size=_LONGEST)
    if schema.name and schema.preserve_unknown and not schema.properties:
        return DYN
    if schema.name and schema.type == "object" and not schema.properties and schema.additional is None:
        return DYN  # a built-in type that may hold anything, such as RawExtension
    if schema.type == "object" or schema.properties:
        return _object(schema, root)
    if schema.type == "array":
        items = of_schema(schema.items) if schema.items is not None else DYN
        return replace(list_of(items), size=most_items(schema))
    if schema.type == "string":
        return _text(schema)
    return _SCALARS.get(schema.type, STRING if schema.name.endswith(".Quantity") else DYN)


_SCALARS = {"boolean": BOOL, "integer": INT, "number": DOUBLE}
_FORMATS = {"byte": BYTES, "date": TIMESTAMP, "date-time": TIMESTAMP, "duration": DURATION}
_LEAST_OF_FORMAT = {"duration": 3, "date": 12, "date-time": 21}  # bytes, quotes included
_MOST_OF_FORMAT = {"duration": 32, "date": 12, "date-time": 32}
_LEAST = {"boolean": 4, "integer": 1, "number": 1}
_NAMES = Structural(
    type="object", properties={"name": Structural(type="string"), "generateName": Structural(type="string")}
)


def most_items(schema: Structural) -> int:
    """How many items a list may have, or entries a map."""
    if schema.type == "array":
        limit = schema.source.get("maxItems")
        between = 1  # a comma
        inner = schema.items
    else:
        limit = schema.source.get("maxProperties")
        between = 6  # a key of no letters with its quotes, a colon, a comma
        inner = schema.additional
    if limit is not None:
        return max(int(limit), 0)
    return _LONGEST // ((least_bytes(inner) if inner is not None else 1) + between)


def least_bytes(schema: Structural) -> int:
    """How short the JSON text of a value can be."""
    if schema.int_or_string or (schema.preserve_unknown and not schema.properties):
        return 1
    if schema.type == "object" or schema.properties:
        needed = schema.source.get("required") or ()
        return 2 + sum(
            len(name) + least_bytes(child) + 4
            for name, child in schema.properties.items()
            if name in needed and "default" not in child.source
        )
    if schema.type == "string":
        return _LEAST_OF_FORMAT.get(schema.format, 2)
    return _LEAST.get(schema.type, 2)


def _text(schema: Structural) -> Type:
    kind = _FORMATS.get(schema.format, STRING)
    longest = schema.source.get("maxLength")
    if kind is BYTES:
        return replace(kind, size=_LONGEST if longest is None else max(longest, 0))
    if kind is not STRING:
        return replace(kind, size=_MOST_OF_FORMAT[schema.format])
    if longest is not None:
        return replace(STRING, size=max(longest, 0) * 4)  # bytes of a character, at most
    choices = schema.source.get("enum")
    return replace(STRING, size=max(len(str(choice)) for choice in choices) if choices else _LONGEST)


def _object(schema: Structural, root: bool) -> Type:
    if schema.additional is not None and not schema.properties:
        return replace(map_of(STRING, of_schema(schema.additional)), size=most_items(schema))
    properties = dict(schema.properties)
    if (root or schema.embedded) and not schema.name:
        text = Structural(type="string")
        properties = {**properties, "apiVersion": text, "kind": text, "metadata": _NAMES}
    found: dict[str, Type] = {}

    def field_of(name: str) -> Type | None:
        known = properties.get(unescape(name))
        if known is None:
            return DYN if schema.name and schema.preserve_unknown else None
        if not (known.type or known.int_or_string or known.name or known.properties):
            return None  # rules cannot look at what has no schema
        made = found.get(name)
        if made is None:
            made = found[name] = of_schema(known)
        return made

    return Type("object", (), schema.name or "object", field_of)


_ESCAPED = {
    "__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/",
}  # fmt: skip
_KEYWORDS = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip


@lru_cache(4096)
def unescape(name: str) -> str:
    """The property behind a name: `foo__dash__bar` is `foo-bar`, `__namespace__` is `namespace`."""
    if "__" not in name:
        return name
    if name[2:-2] in _KEYWORDS and name.startswith("__") and name.endswith("__"):
        return name[2:-2]
    at, text = 0, ""
    while at < len(name):
        for escaped, character in _ESCAPED.items():
            if name.startswith(escaped, at):
                text += character
                at += len(escaped)
                break
        else:
            text += name[at]
            at += 1
    return text
