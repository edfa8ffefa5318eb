"""Columns for `kubectl get`: `Table` objects made from what strategies say about their kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from apiserver.registry.columns.shared import UNDESCRIBED, UNKNOWN
from apiserver.registry.strategy import Column, Strategy
from apiserver.request import first
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.time import human_duration, parse_time
from kubarium.component_base.clock import Clock


def include_of(query: Mapping[str, list[str]]) -> str:
    """How much of the object each row carries. Raises BadRequest."""
    asked = first(query, "includeObject") if query else ""
    if asked not in ("", "None", "Metadata", "Object"):
        why = f"includeObject: Invalid value: \"{asked}\": must be 'Metadata', 'Object', 'None', or empty"
        raise errors.BadRequest(f"Unable to convert to Table as requested: {why}")
    return asked or "Metadata"


class Table:
    """Rows of one kind. Strategies name all their columns, `Name` and `Age` included, or none."""

    def __init__(
        self, strategy: Strategy, version: str, include: str, clock: Clock, describe: Callable[[str], str]
    ) -> None:
        """`describe` tells what is published about a field."""
        self._columns = strategy.columns or UNDESCRIBED
        self._conditions = strategy.row_conditions
        self._describe = describe
        self._api_version = f"meta.k8s.io/{version}"
        self._include = include
        self._now = clock.now()

    def head(self, metadata: Object, *, columns: bool = True) -> bytes:
        """The table up to its first row."""
        definitions = (
            [self._definition(column) for column in self._columns if column.has_definition]
            if columns
            else None
        )
        head = {
            "kind": "Table",
            "apiVersion": self._api_version,
            "metadata": metadata,
            "columnDefinitions": definitions,
        }
        return orjson.dumps(head)[:-1] + b',"rows":['

    def row(self, obj: Object) -> bytes:
        """One row."""
        row: Object = {"cells": [self._cell(column, obj) for column in self._columns]}
        conditions = self._conditions and self._conditions(obj)
        if conditions:
            row["conditions"] = conditions
        if self._include == "Object":
            row["object"] = obj
        elif self._include == "Metadata":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": self._api_version,
                "metadata": obj.get("metadata"),
            }
        else:
            row["object"] = None
        return orjson.dumps(row)

    def _cell(self, column: Column, obj: Object) -> Any:
        if column.needs_now:
            return column.cell(obj, self._now)
        value = column.cell(obj)
        if not column.is_moment:
            return value
        try:
            return human_duration((self._now - parse_time(value)).total_seconds()) if value else UNKNOWN
        except ValueError:
            return UNKNOWN

    def _definition(self, column: Column) -> Object:
        return {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": self._describe(column.about) if column.about else column.description,
            "priority": column.priority,
        }
