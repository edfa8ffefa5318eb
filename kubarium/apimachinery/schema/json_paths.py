"""Paths by which a definition points to a field of its own schema: `.spec.color`, `.spec['my.key']`.

They are simpler than the paths that find values: no filters, no indexes.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-path
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubarium.apimachinery.field_path import ROOT, FieldPath
from kubarium.apimachinery.schema.structural import Structural

_TOKEN = re.compile(r"'(?:.*?[^\\])?'|[.\[\]]|[^.\[\]]+", re.DOTALL)
_ESCAPED = {"\\": "\\", "'": "'"}


class BadFieldPath(ValueError):
    """The path leads to no field of the schema."""


def resolved(path: str, schema: Structural, *, brackets: bool = True) -> tuple[FieldPath, Structural]:
    """The path as errors show it, and the schema of what it leads to. Raises BadFieldPath."""
    found = ROOT
    tokens = (match[0] for match in _TOKEN.finditer(path))
    for token in tokens:
        if token == "[":
            if not brackets:
                raise BadFieldPath("array notation is not allowed")
            found, schema = _below(found, schema, _unquoted(_next(tokens)))
            if (after := _next(tokens)) != "]":
                raise BadFieldPath(f"expected ] but got {after}")
        elif token == ".":
            found, schema = _below(found, schema, _next(tokens))
        else:
            raise BadFieldPath(f"expected [ or . but got: {token}")
    return found, schema


def _next(tokens: Iterator[str]) -> str:
    token = next(tokens, None)
    if token is None:
        raise BadFieldPath("unexpected end of JSON path")
    return token


def _below(path: FieldPath, schema: Structural, step: str) -> tuple[FieldPath, Structural]:
    if step in schema.properties:
        return path / step, schema.properties[step]
    if schema.properties or schema.additional is None:
        raise BadFieldPath("does not refer to a valid field")
    return path.key(step), schema.additional


def _unquoted(token: str) -> str:
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise BadFieldPath(f"expected single quoted string but got {token}")
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[0]), token[1:-1])
