"""Tables, YAML, JSON, names, JSONPath, custom columns."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from kubarium.apimachinery.object import Object
from kubarium.kubectl import jsonpath
from kubarium.kubectl.go_template.evaluate import render
from kubarium.kubectl.go_template.values import show
from kubarium.kubectl.names import Kind

TABLE_ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_STRING = "tag:yaml.org,2002:str"


class OutputError(Exception):
    """Unknown `-o`."""


def columns(
    headers: Sequence[str], rows: Sequence[Sequence[str]], show_headers: bool = True, gap: int = 3
) -> str:
    """Aligned columns, each as wide as its widest cell; nothing is padded at the end of a line."""
    lines = ([list(headers)] if show_headers else []) + [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    text = [
        (" " * gap).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text)


FORMATS = (
    "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,"
    "kyaml,name,template,templatefile,wide,yaml"
)
TEMPLATES = {
    "template": "go-template",
    "templatefile": "go-template-file",
}


def chosen(output: str, template: str = "") -> str:
    """`-o` and `--template` as one; a template that stands in a file is read. Raises OutputError."""
    kind, equals, text = output.partition("=")
    if template and not equals:
        equals, text = "=", template
        kind = kind or "go-template"
    kind = TEMPLATES.get(kind, kind)
    if kind.startswith(("go-template", "jsonpath")) and not text:
        raise OutputError("template format specified but no template given")
    if kind.endswith("-file"):
        try:
            text = Path(text).read_text()
        except OSError as error:
            raise OutputError(f"error reading --template {text}, open {text}: {_reason(error)}") from error
        kind = kind.removesuffix("-file")
        if kind == "custom-columns":
            text = _columns_of_lines(text)
    return kind + equals + text


def with_output(command: Any) -> Any:
    """`-o` and `--template`, which reach the command as one word."""

    def keep(context: click.Context, _flag: click.Parameter, value: str) -> None:
        context.meta[__name__] = value

    def choose(context: click.Context, _flag: click.Parameter, value: str) -> str:
        return chosen(value, context.meta.get(__name__, ""))

    template = click.option(
        "--template", default="", is_eager=True, expose_value=False, callback=keep, help="A Go template."
    )
    output = click.option(
        "-o", "--output", default="", callback=choose, help=f"Output format. One of: ({FORMATS})."
    )
    return output(template(command))


def _reason(error: OSError) -> str:
    return (error.strerror or "").lower()


def _columns_of_lines(text: str) -> str:
    """Two lines: the names of the columns, and below them their paths."""
    heads, paths, *_ = [line.split() for line in text.splitlines()[:2]] + [[], []]
    if len(heads) != len(paths):
        raise OutputError(
            f"number of headers ({len(heads)}) and field specifications ({len(paths)}) don't match"
        )
    return ",".join(f"{head}:{path}" for head, path in zip(heads, paths, strict=True))


def emit(obj: Any, output: str, headers: bool = True, managed: bool = False) -> None:
    """Print an object; who manages which field only if it is wanted. A template says itself where its lines end."""
    if output in ("json", "yaml", "kyaml") and not managed:
        for each in obj.get("items") or [obj]:
            (each.get("metadata") or {}).pop("managedFields", None)
    text = document(obj, output, headers)
    click.echo(text, nl=not output.startswith(("jsonpath=", "go-template=")) and bool(text))


def document(obj: Any, output: str, headers: bool = True) -> str:
    """`-o json`, `-o yaml`, `-o jsonpath=…`, `-o go-template=…`, `-o custom-columns=…`."""
    if output == "json":
        return _json(obj)
    if output == "yaml":
        return yaml.dump(
            obj, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True
        ).rstrip()
    if output == "kyaml":
        return f"---\n{kyaml(obj)}"
    kind, _, template = output.partition("=")
    if kind == "jsonpath":
        return jsonpath.render(template, obj)
    if kind == "jsonpath-as-json":
        return _json(jsonpath.find(template, obj))
    if kind in ("go-template", "template"):
        return render(template, obj)
    if kind == "custom-columns":
        return custom_columns(obj, template, headers)
    raise OutputError(
        f'unable to match a printer suitable for the output format "{output}", allowed formats are: {FORMATS}'
    )


def _json(obj: Any) -> str:
    return jsonpath.escaped(json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False))


def kyaml(value: Any, indent: str = "") -> str:
    """YAML that looks like JSON with comments to come: braces, quoted strings, a comma behind everything."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{_key(key)}: {kyaml(value[key], deeper)},\n" for key in sorted(value)]
        return "{\n" + "".join(lines) + indent + "}"
    if isinstance(value, list) and value:
        if all(isinstance(item, dict) and item for item in value):
            return "[" + ", ".join(kyaml(item, indent) for item in value) + "]"
        return "[\n" + "".join(f"{deeper}{kyaml(item, deeper)},\n" for item in value) + indent + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][\w./-]*", key) else json.dumps(key)


def custom_columns(obj: Object, template: str, headers: bool = True) -> str:
    """`NAME:.metadata.name,IP:.status.podIP`. Raises OutputError."""
    if not template:
        raise OutputError("custom-columns format specified but no custom columns given")
    pairs = [column.partition(":") for column in template.split(",")]
    if wrong := next((name for name, colon, _ in pairs if not colon), ""):
        raise OutputError(f"unexpected custom-columns spec: {wrong}, expected <header>:<json-path-expr>")
    items = obj.get("items", [obj])
    rows = [[_joined(jsonpath.find(path, item)) for _, _, path in pairs] for item in items]
    return columns([title for title, _, _ in pairs], rows, headers)


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

    def text(self, table: Object, event: str = "") -> str:
        """The table's rows, the first time with headers; before them what happened to them, if it is to be told."""
        first = not self._definitions
        if table.get("columnDefinitions"):
            self._definitions = table["columnDefinitions"]
        shown = [i for i, column in enumerate(self._definitions) if self._wide or not column.get("priority")]
        titles = [self._definitions[i]["name"].upper() for i in shown]
        rows = [self._row(row, shown) for row in table.get("rows") or []]
        heads = [*(["NAMESPACE"] if self._namespace else []), *titles]
        heads += [label.rpartition("/")[2].upper() for label in self._label_columns]
        heads += ["LABELS"] if self._labels else []
        if event:
            heads, rows = ["EVENT", *heads], [[event, *row] for row in rows]
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
    return ",".join(map(show, values)) if values else "<none>"


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
