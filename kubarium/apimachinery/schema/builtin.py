"""Objects of built-in kinds, decoded as the original's typed structs decode them.

Upstream reads a body into Go structs: a null means that the field is absent, unknown fields are lost, optional
lists and maps that are empty are not written again, quantities and times come out in their canonical form, and a
value of the wrong type ends the request with a 400. Here the same happens to the plain dict, in place, by functions
that are compiled once for each definition.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

from kubarium.apimachinery import quantity
from kubarium.apimachinery.codec import json_type
from kubarium.apimachinery.errors import BadRequest
from kubarium.apimachinery.field_path import FieldPath, invalid
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema.catalog import Catalog
from kubarium.apimachinery.schema.structural import Structural
from kubarium.apimachinery.time_layout import RFC3339, RFC3339_MICRO, Reading, TimeWrong, read_time

Where = tuple[Any, ...] | None
"""The way from the root, as nested pairs `(parent, step)`: cheap to make, read only when something is wrong. A step
is a field's name, an index, or the key of a map in a tuple of its own."""

Check = Callable[[Any, Where, list[str]], Any]
"""Takes a value, where it stands, and the list of unknown fields; returns the value to keep."""

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."


class _Wrong(Exception):
    """A value cannot be decoded; `where` is None when the message already says everything."""

    def __init__(self, what: str, where: Where = None, go_type: str = "") -> None:
        self.what = what
        self.where = where
        self.go_type = go_type


def normalize_builtin(obj: Object, gvk: GroupVersionKind, catalog: Catalog) -> tuple[Object, list[str]]:
    """The object as upstream would have decoded it, in place, and the paths of unknown fields."""
    name = catalog.definition_name(gvk)
    if name is None:
        return obj, []
    unknown: list[str] = []
    try:
        _check_of(catalog, name)(obj, None, unknown)
    except _Wrong as wrong:
        raise decoding_error(gvk, _message(wrong, gvk.kind)) from None
    return obj, unknown


def normalize_metadata(obj: Object, gvk: GroupVersionKind, catalog: Catalog, place: str = "") -> list[str]:
    """The same for the metadata of a custom resource, or of an object that is embedded in one at a place.

    Upstream knows its type too. Returns unknown fields.
    """
    unknown: list[str] = []
    metadata = obj.get("metadata")
    if metadata is None:
        return unknown
    try:
        if not isinstance(metadata, dict):
            raise _Wrong(json_type(metadata), go_type="v1.ObjectMeta")
        _check_of(catalog, _META + "ObjectMeta")(metadata, None, unknown)
    except _Wrong as wrong:
        problem = _message(wrong, "ObjectMeta")
        if place:
            problem = str(invalid(FieldPath(place) / "metadata", metadata, problem))
        raise decoding_error(gvk, problem) from None
    return [f"metadata.{path}" for path in unknown]


def decoding_error(gvk: GroupVersionKind, problem: str) -> BadRequest:
    """What upstream says when an object of a known kind cannot be decoded."""
    return BadRequest(f'{gvk.kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}: {problem}')


def unknown_field(path: str) -> str:
    """The text of one unknown field, for warnings and for strict errors."""
    return f'unknown field "{path}"'


def strict_error(gvk: GroupVersionKind, problems: Sequence[str]) -> BadRequest:
    """What upstream says under `fieldValidation=Strict` about unknown and duplicate fields."""
    return decoding_error(gvk, f"strict decoding error: {', '.join(problems)}")


# The compiled functions of each catalog: made when a definition is first met.
_compiled: dict[int, tuple[Catalog, dict[str, Check]]] = {}


def _check_of(catalog: Catalog, name: str) -> Check:
    checks = _compiled.setdefault(id(catalog), (catalog, {}))[1]
    check = checks.get(name)
    if check is None:
        check = _Compiler(catalog, checks).of(catalog.definition(name))
    return check


class _Compiler:
    """Makes the functions of one catalog."""

    def __init__(self, catalog: Catalog, checks: dict[str, Check]) -> None:
        self._catalog = catalog
        self._checks = checks

    def of(self, node: Structural) -> Check:
        """The function for a node; for a definition always the same one."""
        if not node.name:
            return self._make(node)
        check = self._checks.get(node.name)
        if check is None:
            # A stand-in until the real one is made, because a definition may contain itself.
            self._checks[node.name] = lambda value, where, unknown: self._checks[node.name](
                value, where, unknown
            )
            check = self._checks[node.name] = self._make(node)
        return check

    def _make(self, node: Structural) -> Check:
        special = _SPECIAL.get(node.name)
        if special is not None:
            return special
        if node.name in _POLYMORPH:
            return _either(lambda: self.of(self._catalog.definition(_CRD + "JSONSchemaProps")))
        if node.properties:
            return self._object(node)
        if node.additional is not None:
            return _map(self.of(node.additional), _go_type(node))
        if node.items is not None:
            return _list(self.of(node.items), _go_type(node))
        return _scalar(node)

    def _object(self, node: Structural) -> Check:
        plain = {key: _PLAIN[child.type] for key, child in node.properties.items() if _is_plain(child)}
        deep = {key: self.of(child) for key, child in node.properties.items() if key not in plain}
        types = {key: _go_type(child) for key, child in node.properties.items()}
        omit = frozenset(
            key
            for key, child in node.properties.items()
            if (child.items is not None or child.additional is not None)
            and key not in node.required
            and key not in _EMPTY_LISTS_SAY
        )
        return _struct(plain, deep, types, omit, _short(node.name), _go_type(node))


def _struct(
    plain: dict[str, type],
    deep: dict[str, Check],
    types: dict[str, str],
    omit: frozenset[str],
    name: str,
    own: str,
) -> Check:
    plain_of, deep_of = plain.get, deep.get

    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise _Wrong(_shown(value), where, own)
        dropped: list[str] | None = None
        for key, child in value.items():
            wanted = plain_of(key)
            if wanted is type(child):
                continue
            if child is None:
                dropped = [*(dropped or ()), key]
                if wanted is None and key not in deep:
                    unknown.append(_path((where, key, name)))
                continue
            if wanted is not None:
                raise _Wrong(_shown(child), (where, key, name), types[key])
            step = deep_of(key)
            if step is None:
                unknown.append(_path((where, key, name)))
                dropped = [*(dropped or ()), key]
                continue
            kept = step(child, (where, key, name), unknown)
            if not kept and key in omit:
                dropped = [*(dropped or ()), key]
            elif kept is not child:
                value[key] = kept
        if dropped is not None:
            for key in dropped:
                del value[key]
        return value

    return check


def _map(item: Check, own: str) -> Check:
    if item is _string:
        return _string_map(own)

    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise _Wrong(_shown(value), where, own)
        for key, child in value.items():
            kept = item(child, (where, (key,), ""), unknown)
            if kept is not child:
                value[key] = kept
        return value

    return check


def _string_map(own: str) -> Check:
    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise _Wrong(_shown(value), where, own)
        for key, child in value.items():
            if type(child) is not str:
                value[key] = _string(child, (where, (key,), ""), unknown)
        return value

    return check


def _list(item: Check, own: str) -> Check:
    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if value is None:  # an entry of a map of lists
            return []
        if type(value) is not list:
            raise _Wrong(_shown(value), where, own)
        for index, child in enumerate(value):
            # A null in a list is a struct without fields, no text, or 0.
            kept = item(_NULLS.get(item, {}) if child is None else child, (where, index, ""), unknown)
            if kept is not child:
                value[index] = kept
        return value

    return check


def _string(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise _Wrong(_shown(value), where, "string")


def _boolean(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is bool:
        return value
    raise _Wrong(_shown(value), where, "bool")


def _integer(bits: int) -> Check:
    largest, go_type = 2 ** (bits - 1), f"int{bits}"

    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is int and -largest <= value < largest:
            return value
        raise _Wrong(f"number {value}" if type(value) in (int, float) else _shown(value), where, go_type)

    return check


_int32, _int64 = _integer(32), _integer(64)
_NULLS: dict[Check, Any] = {_string: None, _int32: 0, _int64: 0}
"""What a null in a list means, where it is no struct."""


def _float(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is float or type(value) is int:
        return value
    raise _Wrong(_shown(value), where, "float64")


def _anything(value: Any, where: Where, unknown: list[str]) -> Any:
    return value


def _object(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is dict:
        return value
    raise _Wrong(_shown(value), where, "map[string]interface {}")


def _bytes(value: Any, where: Where, unknown: list[str]) -> Any:
    if value is None:
        return ""
    if type(value) is not str:
        raise _Wrong(_shown(value), where, "[]uint8")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        cleaned = value.replace("\n", "").replace("\r", "")  # line breaks are allowed, and not kept
        try:
            return base64.b64encode(base64.b64decode(cleaned, validate=True)).decode()
        except (binascii.Error, ValueError):
            raise _Wrong(f"illegal base64 data at input byte {_first_foreign_byte(value)}") from None
    return value


def _first_foreign_byte(text: str) -> int:
    match = re.search(r"[^A-Za-z0-9+/]", text)
    return match.start() if match else len(text) - len(text) % 4


def _quantity(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is str or type(value) is int or type(value) is float:
        try:
            return quantity.canonical(value.strip() if type(value) is str else value)
        except quantity.QuantityError as error:
            raise _Wrong(str(error)) from None
    if value is None:
        return "0"
    raise _Wrong(quantity.FORMAT_WRONG)


# Only times that surely are some, as they are written: all others are read with care.
_DATE = (
    r"(?!0001)\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_SECONDS = re.compile(rf"{_DATE}{_CLOCK}Z", re.ASCII).fullmatch
_MICROS = re.compile(rf"{_DATE}{_CLOCK}\.\d{{6}}Z", re.ASCII).fullmatch


def _parsed_time(value: Any, layout: str) -> Reading:
    if type(value) is not str:
        raise _Wrong(f"json: cannot unmarshal {_shown(value)} into Go value of type string")
    try:
        return read_time(value, layout)
    except TimeWrong as error:
        raise _Wrong(str(error)) from None


def _time(value: Any, where: Where, unknown: list[str]) -> Any:
    return _time_of(value, _SECONDS, RFC3339, micro=False)


def _micro_time(value: Any, where: Where, unknown: list[str]) -> Any:
    return _time_of(value, _MICROS, RFC3339_MICRO, micro=True)


def _time_of(value: Any, usual: Callable[[str], re.Match[str] | None], layout: str, micro: bool) -> Any:
    if value is None or (type(value) is str and usual(value)):
        return value
    reading = _parsed_time(value, layout)
    return None if reading.is_zero() else reading.text(micro)


def _int_or_string(value: Any, where: Where, unknown: list[str]) -> Any:
    if type(value) is str or (type(value) is int and -(2**31) <= value < 2**31):
        return value
    shown = f"number {value}" if type(value) in (int, float) else _shown(value)
    raise _Wrong(f"json: cannot unmarshal {shown} into Go value of type int32")


def _either(schema: Callable[[], Check]) -> Check:
    """A schema, or a list of schemas, or a boolean, or names: what a CustomResourceDefinition writes in some
    places.
    """

    def check(value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is dict:
            return schema()(value, where, unknown)
        if type(value) is list:
            return [check(item, (where, index, ""), unknown) for index, item in enumerate(value)]
        return value

    return check


_EMPTY_LISTS_SAY = frozenset(("managedFields", "policies"))
"""Lists that are not the same empty as absent: managed fields start anew, and a scaler's policies are none and not
the usual ones.
"""
_POLYMORPH = frozenset(
    _CRD + name
    for name in ("JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")
)
_SPECIAL: dict[str, Check] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _anything,
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "FieldsV1": _object,
    _CRD + "JSON": _anything,
}
_PLAIN: dict[str, type] = {"string": str, "boolean": bool}
"""What needs no function of its own: one comparison of types."""


def _is_plain(node: Structural) -> bool:
    return node.type in _PLAIN and not node.format and not node.name


def _scalar(node: Structural) -> Check:
    if node.type == "integer":
        return _int32 if node.format == "int32" else _int64
    by_type: dict[str, Check] = {
        "string": _bytes if node.format == "byte" else _string,
        "boolean": _boolean,
        "number": _float,
        "object": _object,
    }
    return by_type.get(node.type, _anything)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _go_type(node: Structural) -> str:
    """How Go prints the type of a field."""
    if node.name:
        return ".".join(node.name.split(".")[-2:])
    if node.additional is not None:
        return f"map[string]{_go_type(node.additional)}"
    if node.items is not None:
        return f"[]{_go_type(node.items)}"
    if node.type == "integer":
        return node.format or "int64"
    if node.format == "byte":
        return "[]uint8"
    return {"boolean": "bool", "number": "float64", "object": "map[string]interface {}"}.get(
        node.type, node.type
    )


def _shown(value: Any) -> str:
    return json_type(value)


def _steps(where: Where) -> list[tuple[Any, str]]:
    steps = []
    while where is not None:
        steps.append((where[1], where[2]))
        where = where[0]
    steps.reverse()
    return steps


def _path(where: Where) -> str:
    """`spec.containers[0].name`."""
    text = ""
    for step, _ in _steps(where):
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step[0] if isinstance(step, tuple) else step
            text = f"{text}.{key}" if text else key
    return text


def _message(wrong: _Wrong, kind: str) -> str:
    """In Go's words: the struct around the field, then the names of the fields on the way, without indices."""
    steps = _steps(wrong.where)
    if not steps:
        if not wrong.go_type:
            return wrong.what
        return f"json: cannot unmarshal {wrong.what} into Go value of type {wrong.go_type}"
    fields = [step for step, _ in steps if isinstance(step, str)]
    struct = next((name for step, name in reversed(steps) if isinstance(step, str) and name), kind)
    place = f"{struct}.{'.'.join(fields)}"
    return f"json: cannot unmarshal {wrong.what} into Go struct field {place} of type {wrong.go_type}"
