"""Tables, YAML, JSON, names, JSONPath, custom columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
import yaml

from kubarium.apimachinery.object import Object
from kubarium.kubectl import jsonpath
from kubarium.kubectl.names import Kind

TABLE_ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
GAP = "   "
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_STRING = "tag:yaml.org,2002:str"


class OutputError(Exception):
    """Unknown `-o`."""


def columns(headers: Sequence[str], rows: Sequence[Sequence[str]], show_headers: bool = True) -> str:
    """Aligned columns, each as wide as its widest cell; nothing is padded at the end of a line."""
    lines = ([list(headers)] if show_headers else []) + [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    text = [
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text)


def document(obj: Any, output: str) -> str:
    """`-o json`, `-o yaml`, `-o jsonpath=…`, `-o custom-columns=…`."""
    if output == "json":
        return orjson.dumps(obj, option=orjson.OPT_INDENT_2).decode()
    if output == "yaml":
        return yaml.dump(
            obj, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True
        ).rstrip()
    kind, _, template = output.partition("=")
    if kind in ("jsonpath", "jsonpath-as-json"):
        return jsonpath.render(template, obj)
    if kind == "custom-columns":
        return custom_columns(obj, template)
    raise OutputError(
        f'unable to match a printer suitable for the output format "{output}", allowed formats are: '
        "custom-columns,json,jsonpath,name,wide,yaml"
    )


def custom_columns(obj: Object, template: str) -> str:
    """`NAME:.metadata.name,IP:.status.podIP`."""
    pairs = [column.partition(":") for column in template.split(",")]
    items = obj.get("items", [obj])
    rows = [[_joined(jsonpath.find(path, item)) for _, _, path in pairs] for item in items]
    return columns([title for title, _, _ in pairs], rows)


class TablePrinter:
    """Rows of a server's Table; the columns are decided with the first one, so that `-w` stays aligned enough."""

    def __init__(
        self,
        kind: Kind,
        wide: bool = False,
        with_namespace: bool = False,
        with_kind: bool = False,
        labels: bool = False,
        label_columns: Sequence[str] = (),
        headers: bool = True,
    ) -> None:
        self._kind = kind
        self._wide = wide
        self._namespace = with_namespace
        self._with_kind = with_kind
        self._labels = labels
        self._label_columns = label_columns
        self._headers = headers
        self._definitions: list[Object] = []

    def text(self, table: Object) -> str:
        """The table's rows, the first time with headers."""
        first = not self._definitions
        if table.get("columnDefinitions"):
            self._definitions = table["columnDefinitions"]
        shown = [i for i, column in enumerate(self._definitions) if self._wide or not column.get("priority")]
        titles = [self._definitions[i]["name"].upper() for i in shown]
        rows = [self._row(row, shown) for row in table.get("rows") or []]
        heads = [*(["NAMESPACE"] if self._namespace else []), *titles]
        heads += [label.rpartition("/")[2].upper() for label in self._label_columns]
        heads += ["LABELS"] if self._labels else []
        return columns(heads, rows, self._headers and first)

    def _row(self, row: Object, shown: Sequence[int]) -> list[str]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        cells = [_cell(row["cells"][i]) for i in shown]
        if self._with_kind and cells:
            cells[0] = self._kind.full_name(cells[0])
        labels = metadata.get("labels") or {}
        cells += [labels.get(label, "") for label in self._label_columns]
        if self._labels:
            cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>")
        return [*([metadata.get("namespace", "")] if self._namespace else []), *cells]


def _cell(value: Any) -> str:
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _joined(values: Sequence[Any]) -> str:
    return ",".join(jsonpath.show(value) for value in values) if values else "<none>"


class _Dumper(yaml.SafeDumper):
    """YAML as kubectl writes it: long strings in one line, texts with lines as blocks, lists not indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Go puts what would be read as something else into double quotes: numbers, `true`, `y`, times, nothing."""
    read_as = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    ambiguous = read_as != _STRING or text in ("y", "Y", "n", "N") or _NUMBER.fullmatch(text)
    style = "|" if "\n" in text else '"' if ambiguous else None
    return dumper.represent_scalar(_STRING, text, style=style)


_Dumper.add_representer(str, _text)
