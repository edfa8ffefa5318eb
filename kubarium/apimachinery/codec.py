"""Bytes to objects and back, as JSON or YAML, and the words with which upstream refuses a body that makes no sense.

Upstream only warns about a key that is given twice (or refuses it under `fieldValidation=Strict`), so that the strict
functions return a list of problems next to the object: `duplicate field "spec.replicas"` for JSON,
`line 9: key "foo" already set in map` for YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

import orjson
import yaml

from kubarium.apimachinery.errors import BadRequest
from kubarium.apimachinery.object import Object

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

TYPE_META = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SUMMARY = 30


def encode_to_keep(obj: Any) -> bytes:
    """Compact JSON that is kept: what orjson returns holds on to a buffer of four kilobytes and more."""
    return bytes(memoryview(orjson.dumps(obj)))


def decode_json(body: bytes, kind: str = "object") -> Object:
    """The object in a JSON body. `kind` is what the caller expects, for the message of the BadRequest."""
    try:
        obj = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unrecognized(kind, f"json parse error: {go_json_error(body, error)}", body) from None
    return _as_object(obj, kind, body)


def decode_json_strict(body: bytes, kind: str = "object") -> tuple[Object, list[str]]:
    """The object in a JSON body, and a problem for every key that stands twice in one JSON object."""
    obj = decode_json(body, kind)
    return obj, repetitions(body, obj)


def repetitions(body: bytes, value: Any) -> list[str]:
    """A problem for every key that stands twice in one JSON object of a body, which has been decoded to a value."""
    # A key that is dropped by decoding is missing when the object is encoded again. This is seen by counting, which is
    # ten times as fast as a look at every key; white space before a colon only costs the slower way.
    try:
        kept = orjson.dumps(value).count(b'":')
    except TypeError:  # it reads deeper nesting than it writes
        raise BadRequest("exceeded max depth") from None
    if body.count(b'":') == kept:
        return []
    return [f"duplicate field {json.dumps(path)}" for path in duplicate_fields(body)]


def decode_yaml_strict(body: bytes, kind: str = "object") -> tuple[Object, list[str]]:
    """The object in a YAML body, and a problem for every key that stands twice in one mapping."""
    loader = _Loader(body)
    try:
        _refuse_depths(body)
        obj = loader.get_single_data()
        if b"&" in body and b"*" in body:
            _refuse_floods(obj)
        obj = orjson.loads(orjson.dumps(obj))  # nothing shared, nothing that JSON does not have
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        raise _unrecognized(
            kind, f"error converting YAML to JSON: yaml: {_yaml_error(error)}", body
        ) from None
    finally:
        loader.dispose()
    return _as_object(obj, kind, body), loader.problems


_DEEPEST = 1000  # collections within collections: as far as newer libyaml goes
_MANY_BRACKETS = 250  # each may begin two levels, as in `[a: [a: `
_LONG_RUN = re.compile(
    rb"[-?: ]{240}"
)  # of what stands before a block; each byte may begin two, as a list in its key
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def _refuse_depths(body: bytes) -> None:
    """Raise ValueError before the stack ends: PyYAML's compiled loader goes down a level of it for each collection."""
    is_shallow = body.count(b"[") + body.count(b"{") < _MANY_BRACKETS and not _LONG_RUN.search(body)
    if is_shallow and not body.startswith(_UTF_16):
        return
    depth = 0
    for event in yaml.parse(body, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"exceeded max depth of {_DEEPEST}")


_MOST_ALIASED = 1_000_000
"""How many values a document may have when its aliases are written out."""


def _refuse_floods(value: Any) -> None:
    """Raise ValueError when a few lines would become very many values once their aliases are written out."""
    sizes: dict[int, int] = {}

    def size(part: Any) -> int:
        if not isinstance(part, dict | list):
            return 1
        known = sizes.get(id(part))
        if known is None:
            sizes[id(part)] = _MOST_ALIASED + 1  # met again before it is known: it contains itself
            known = 1 + sum(size(child) for child in (part.values() if isinstance(part, dict) else part))
            sizes[id(part)] = known
        return known

    if size(value) > _MOST_ALIASED:
        raise ValueError("document contains excessive aliasing")


def duplicate_fields(body: bytes) -> list[str]:
    """The paths of the keys that stand twice in one JSON object, in the order of the document."""
    repeated: dict[int, list[str]] = {}
    kept: list[Object] = []  # keeps the dicts alive, so that their ids stay theirs

    def collect(pairs: list[tuple[str, Any]]) -> Object:
        obj = dict(pairs)
        if len(obj) != len(pairs):
            seen: set[str] = set()
            repeated[id(obj)] = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
            kept.append(obj)
        return obj

    tree = json.loads(body, object_pairs_hook=collect)
    found: list[str] = []
    if repeated:
        _walk_repeated(tree, "", repeated, found)
    return found


def _walk_repeated(value: Any, path: str, repeated: dict[int, list[str]], found: list[str]) -> None:
    if isinstance(value, dict):
        found += [f"{path}.{key}" if path else key for key in dict.fromkeys(repeated.get(id(value), ()))]
        for key, child in value.items():
            _walk_repeated(child, f"{path}.{key}" if path else key, repeated, found)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _walk_repeated(child, f"{path}[{index}]", repeated, found)


def _as_object(value: Any, kind: str, body: bytes) -> Object:
    if isinstance(value, dict):
        return value
    if value is None:
        return {}  # upstream decodes `null` as an object without fields
    error = f"json parse error: json: cannot unmarshal {json_type(value)} into Go value of type {TYPE_META}"
    raise _unrecognized(kind, error, body)


def json_type(value: Any) -> str:
    """What Go's decoder calls a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "number"


def _unrecognized(kind: str, error: str, body: bytes) -> BadRequest:
    message = (
        f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {error}"
    )
    return BadRequest(f"{message} ({_summary(body)})")


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    text = body.decode("utf-8", "replace") if body[:1] == b"{" else body.hex()
    return f"{text[:_SUMMARY]} ..." if len(text) > _SUMMARY else text


def go_json_error(body: bytes, error: orjson.JSONDecodeError) -> str:
    """What Go's decoder says; the reason is guessed from the bytes before the place."""
    text = body.decode("utf-8", "replace")
    if error.pos >= len(text.rstrip()) or not text.strip():
        return "unexpected end of JSON input"
    character = text[error.pos]
    shown = {"'": r"'\''", '"': "'\"'"}.get(character, f"'{character}'")
    before = text[: error.pos].rstrip()[-1:]
    if before == "{":
        where = "looking for beginning of object key string"
    elif before in ('"', "}", "]") or before.isalnum():
        where = "after top-level value" if _is_json(text[: error.pos]) else "after object key:value pair"
    elif before == "," and character == "}":
        where = "looking for beginning of object key string"
    else:
        where = "looking for beginning of value"
    return f"invalid character {shown} {where}"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _yaml_error(error: Exception) -> str:
    """In the words of Go's decoder, which counts lines from 0 unless its scanner complains, and tells none of 0."""
    problem = getattr(error, "problem", None) or str(error)
    marks = (getattr(error, name, None) for name in ("context_mark", "problem_mark"))
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"line {line}: {problem}" if line else str(problem)


class _Loader(yaml.CSafeLoader):
    """YAML as upstream's decoder reads it: JSON's types only, text for everything else, keys are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML wants it so

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.problems: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """A dict with text keys; repeated keys are noted, the last one holds."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "invalid map key", key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = _key_text(self.construct_object(key_node))
            if key in seen:
                self.problems.append(
                    f"line {key_node.start_mark.line + 1}: key {json.dumps(key)} already set in map"
                )
            seen.add(key)
        self.flatten_mapping(node)
        return {
            _key_text(self.construct_object(key)): self.construct_object(value, deep=True)
            for key, value in node.value
        }


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _construct_map(loader: _Loader, node: Any) -> Any:
    return loader.construct_mapping(node)


def _construct_float(loader: _Loader, node: Any) -> int | float:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    number = float(text)
    return (
        int(number) if number.is_integer() and abs(number) < 2**63 else number
    )  # `1.0` becomes 1 on the way to JSON


def _construct_int(loader: _Loader, node: Any) -> int | float:
    text = str(loader.construct_scalar(node)).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits[:2].lower() in ("0x", "0o", "0b"):
        number = sign * int(digits, 0)
    else:
        number = sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    return number if -(2**63) <= number < 2**64 else float(number)


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


# No timestamps and no base-60 numbers: `2020-01-01` and `8080:80` are text for upstream.
_resolve(
    "bool", r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$", "yYnNtTfFoO"
)
_resolve("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$", "-+0123456789")
_resolve("float", r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+0123456789.")
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_resolve("merge", r"^(?:<<)$", "<")
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
