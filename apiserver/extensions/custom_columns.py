"""What `kubectl get` shows of custom resources: the columns that their definition asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from apiserver.extensions import json_path
from apiserver.registry.columns.shared import AGE, NAME, UNKNOWN
from apiserver.registry.strategy import Column
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.time import human_duration, parse_time

_COLUMN = "Custom resource definition column (in JSONPath format)"


def columns_of(wanted: Sequence[Object]) -> Sequence[Column]:
    """Those that a version asks for; name and age if it asks for none."""
    if not wanted:
        return (NAME, replace(AGE, type="date"))
    return (
        NAME,
        *(
            Column(
                column["name"],
                partial(_moment if column["type"] == "date" else _cell, column["jsonPath"], column["type"]),
                type=column["type"],
                format=column.get("format") or "",
                description=column.get("description") or f"{_COLUMN}: {column['jsonPath']}",
                priority=column.get("priority") or 0,
                needs_now=column["type"] == "date",
            )
            for column in wanted
        ),
    )


def _cell(path: str, type: str, obj: Object) -> Any:
    """The first value at a path; nothing if it is not of the column's type."""
    value = _first(path, obj)
    if type == "string":
        if value is None or isinstance(value, str):
            return value
        return orjson.dumps(value).decode() if isinstance(value, dict | list) else json_path.text(obj, path)
    if type == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if type == "integer" else value


def _moment(path: str, type: str, obj: Object, now: datetime) -> Any:
    """How long ago a moment was."""
    value = _first(path, obj)
    if not isinstance(value, str):
        return None
    try:
        return human_duration((now - parse_time(value)).total_seconds()) if value else UNKNOWN
    except ValueError:
        return "<invalid>"


def _first(path: str, obj: Object) -> Any:
    try:
        return json_path.first(obj, path)
    except json_path.BadPath:
        return None
