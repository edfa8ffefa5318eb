"""The published schema of every built-in kind, for the API version being served.

The data comes from the package kubernetes-validate. Its authors made every optional type nullable and listed the
allowed kinds; that is undone here, once, and the result is kept in a cache file whose first line is an index, so
that a start of the API server reads one file and decodes only the definitions that it needs."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema import defaults
from kubarium.apimachinery.schema.structural import Structural, fill

PACKAGE = "kubernetes-validate"
REFERENCE = "#/components/schemas/"
_FORMAT = 3
"""Counts the changes of the cache file's form."""

_SCALARS: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "IntOrString is a type that can hold an int32 or a string.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "description": "Quantity is a fixed-point representation of a number.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
}


def load(cache: Path | None = None, version: str = "1.36") -> Catalog:
    """The schemas of a Kubernetes minor version, from the cache file if it is there and fits; else it is written."""
    stamp = [_FORMAT, version, importlib.metadata.version(PACKAGE)]
    content = _read(cache, stamp) if cache is not None else None
    if content is None:
        content = compile_definitions(_published(version), stamp)
        if cache is not None:
            _write(cache, content)
    return Catalog(content)


def compile_definitions(published: Mapping[str, Any], stamp: list[Any]) -> bytes:
    """The cache file's content: an index in the first line, then the definitions one after the other."""
    places: dict[str, tuple[int, int]] = {}
    kinds: list[tuple[str, str, str, str]] = []
    blobs: list[bytes] = []
    offset = 0
    for name, schema in sorted(published.items()):
        restored = _SCALARS.get(name) or _restore(schema, is_definition=True)
        gvks = restored.get("x-kubernetes-group-version-kind") or ()
        kinds += [(gvk["group"], gvk["version"], gvk["kind"], name) for gvk in gvks]
        blob = orjson.dumps(restored)
        places[name] = (offset, len(blob))
        blobs.append(blob)
        offset += len(blob)
    header = orjson.dumps({"stamp": stamp, "kinds": kinds, "places": places})
    return b"".join((header, b"\n", *blobs))


class Catalog:
    """Lookups by kind and by definition name; the compiled forms are made when first asked for."""

    def __init__(self, content: bytes) -> None:
        """`content` is what `compile_definitions` made."""
        end = content.index(b"\n")
        header = orjson.loads(content[:end])
        self._content = content
        self._start = end + 1
        self._places: dict[str, tuple[int, int]] = header["places"]
        self._kinds = {GroupVersionKind(g, v, k): name for g, v, k, name in header["kinds"]}
        self._compiled: dict[str, Structural] = {}
        self._described: dict[str, str] = {}

    def kinds(self) -> Iterable[GroupVersionKind]:
        """Every kind that has a schema, lists and options included."""
        return self._kinds.keys()

    def definitions(self) -> Iterable[str]:
        """The names of all definitions."""
        return self._places.keys()

    def definition_name(self, gvk: GroupVersionKind) -> str | None:
        """`io.k8s.api.core.v1.Pod`."""
        return self._kinds.get(gvk)

    def document(self, name: str) -> dict[str, Any]:
        """The published OpenAPI v3 schema of a definition, with descriptions. Decoded anew at each call."""
        offset, length = self._places[name]
        start = self._start + offset
        document: dict[str, Any] = orjson.loads(self._content[start : start + length])
        return document

    def description(self, field: str) -> str:
        """What is published about a field of a built-in type: `core.v1.PodStatus.podIP`."""
        text = self._described.get(field)
        if text is None:
            definition, _, name = field.rpartition(".")
            document = self.document(f"io.k8s.api.{definition}")
            text = self._described[field] = document["properties"][name].get("description") or ""
        return text

    def document_v3(self, name: str) -> dict[str, Any]:
        """The same schema as OpenAPI v3 has it, with defaults."""
        return _with_defaults(name, self.document(name))

    def document_v2(self, name: str) -> dict[str, Any]:
        """The same schema as OpenAPI v2 has it, with references to `#/definitions/`."""
        return _as_v2(self.document(name))

    def schema(self, gvk: GroupVersionKind) -> Structural | None:
        """The compiled schema of a kind, or None for a kind that is not built in."""
        name = self._kinds.get(gvk)
        return self.definition(name) if name is not None else None

    def definition(self, name: str) -> Structural:
        """The compiled schema of a definition."""
        node = self._compiled.get(name)
        if node is None:
            node = self._compiled[name] = Structural(
                name=name
            )  # registered first: definitions may contain themselves
            document = _without_descriptions(self.document(name))
            fill(node, _with_defaults(name, document), self.definition)
        return node


def _with_defaults(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """The keys by which lists are matched need defaults: without them, two appliers would not mean the same port."""
    properties = document.get("properties") or {}
    for key, value in defaults.of(name).items():
        if key in properties:
            wrapped = {"allOf": [properties[key]]} if "$ref" in properties[key] else properties[key]
            properties[key] = {**wrapped, "default": value}
    return document


def _published(version: str) -> Mapping[str, Any]:
    files = importlib.metadata.files(PACKAGE) or ()
    wanted = f"v{version}.0-local/_definitions.json"
    for file in files:
        if str(file).endswith(wanted):
            content: Mapping[str, Any] = orjson.loads(Path(str(file.locate())).read_bytes())["$defs"]
            return content
    raise ValueError(f"the package {PACKAGE} has no schemas of Kubernetes {version}")


def _read(cache: Path, stamp: list[Any]) -> bytes | None:
    try:
        content = cache.read_bytes()
        return content if orjson.loads(content[: content.index(b"\n")])["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(cache: Path, content: bytes) -> None:
    """Through a second file, so that a program that starts at the same time reads all or nothing."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    draft = cache.with_name(f".{cache.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(cache)


def _restore(schema: Mapping[str, Any], is_definition: bool = False) -> dict[str, Any]:
    """A schema without the null unions and the lists of allowed kinds, references as OpenAPI v3 writes them."""
    restored: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, list):
            restored[key] = next(kind for kind in value if kind != "null")
        elif key == "properties":
            restored[key] = {name: _restore(child) for name, child in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            restored[key] = _restore(value)
        elif key == "$ref":
            reference = {"$ref": REFERENCE + value.rpartition("/")[2]}
            if len(schema) == 1:
                return reference
            restored["allOf"] = [reference]  # OpenAPI v3.0 allows nothing beside a $ref
        else:
            restored[key] = value
    if is_definition and "x-kubernetes-group-version-kind" in restored:
        for name in ("apiVersion", "kind"):
            (restored.get("properties") or {}).get(name, {}).pop("enum", None)
    return restored


def _as_v2(schema: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: _as_v2(child) for name, child in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = _as_v2(value)
        elif key == "allOf" and len(value) == 1 and "$ref" in value[0]:
            made.update(_as_v2(value[0]))
        elif key == "$ref":
            made[key] = value.replace(REFERENCE, "#/definitions/")
        elif key == "oneOf":
            made["type"] = "string"  # quantities and ports: the older form has no alternatives
        else:
            made[key] = value
    return made


def _without_descriptions(schema: dict[str, Any]) -> dict[str, Any]:
    schema.pop("description", None)
    for child in (schema.get("properties") or {}).values():
        _without_descriptions(child)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _without_descriptions(schema[key])
    return schema
