"""The paper of a description: lines of cells, and columns as wide as their neighbours need (Go's text/tabwriter)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from email.utils import format_datetime

from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object

INDENT = "  "
PADDING = 2
LONGEST_ANNOTATION = 140
LINES = {("Type", "Age"): 4}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Page:
    """Lines with tabs between their cells; `level` says how far a line is indented."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def write(self, level: int, *cells: str) -> None:
        """One line."""
        self._lines.append(INDENT * level + "\t".join(cells))

    def pairs(self, level: int, title: str, pairs: Mapping[str, str] | None, sign: str = "=") -> None:
        """`Labels:   a=b`, one pair in each line."""
        texts = [f"{key}{sign}{value}" for key, value in sorted((pairs or {}).items())]
        self.listed(level, title, texts)

    def listed(self, level: int, title: str, texts: Sequence[str]) -> None:
        """A title and what belongs to it, below each other."""
        for at, text in enumerate(texts or ["<none>"]):
            self.write(level if at == 0 else 0, "" if at else f"{title}:", text)

    def annotations(self, level: int, found: Mapping[str, str] | None) -> None:
        """Annotations but what kubectl keeps for itself; long ones are cut and stand in a line of their own."""
        shown = {key: value for key, value in (found or {}).items() if key != LAST_APPLIED}
        texts: list[str] = []
        for key, value in sorted(shown.items()):
            if len(value) <= LONGEST_ANNOTATION - len(key) - 2 and "\n" not in value:
                texts.append(f"{key}: {value}")
                continue
            texts.append(f"{key}:")
            for line in value.splitlines():
                most = LONGEST_ANNOTATION - len(INDENT)
                texts.append(INDENT + (line if len(line) <= most else line[:most] + "..."))
        self.listed(level, "Annotations", texts)

    def table(self, level: int, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns with their names underlined; upstream's line under the age of events is longer than the word."""
        self.write(level, *heads)
        self.write(level, *("-" * (LINES.get((heads[0], head)) or len(head)) for head in heads))
        for row in rows:
            self.write(level, *row)

    def raw(self) -> str:
        """The lines with their tabs."""
        return "\n".join(self._lines)

    def __str__(self) -> str:
        return "\n".join("".join(cells) for cells in _aligned([line.split("\t") for line in self._lines]))


def _aligned(rows: list[list[str]], column: int = 0) -> list[list[str]]:
    """Pad the cells of a column within each run of lines that have it; the last cell of a line is never padded."""
    done: list[list[str]] = []
    while rows:
        count = next((at for at, row in enumerate(rows) if len(row) - 1 <= column), len(rows))
        if not count:
            done.append(rows.pop(0))
            continue
        block, rows = rows[:count], rows[count:]
        width = max(len(row[column]) for row in block) + PADDING
        padded = [[*row[:column], row[column].ljust(width), *row[column + 1 :]] for row in block]
        done += _aligned(padded, column + 1)
    return done


def moment(text: str | None) -> str:
    """`Mon, 30 Nov 2026 08:28:10 +0000`, as upstream shows times (RFC 1123)."""
    return format_datetime(api_time.parse_time(text).astimezone(UTC)) if text else "<unset>"


def selector_text(selector: Object | None, none: str = "<none>") -> str:
    """A label selector in one line."""
    selector = selector or {}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        values = ",".join(sorted(one.get("values") or []))
        words = {
            "In": f"{one['key']} in ({values})",
            "NotIn": f"{one['key']} notin ({values})",
            "Exists": one["key"],
            "DoesNotExist": f"!{one['key']}",
        }
        parts.append(words[one["operator"]])
    return ",".join(sorted(parts)) or none


def map_text(pairs: Mapping[str, str] | None) -> str:
    """`a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in sorted((pairs or {}).items())) or "<none>"


def go_list(texts: Iterable[object]) -> str:
    """`[a b]`, as Go prints a list."""
    return "[" + " ".join(str(text) for text in texts) + "]"
