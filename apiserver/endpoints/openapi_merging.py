"""What aggregated servers publish of themselves, put beside our own documents.

Of a foreign document only the paths of the server's group version are taken, with the definitions that they need. A
definition that we have, too, but of another form, is taken under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

REFERENCE = "#/definitions/"


@dataclass(frozen=True, slots=True)
class ForeignSchemas:
    """The OpenAPI documents of one group version that somebody else serves."""

    group: str
    version: str
    v2: dict[str, Any] | None = None
    v2_mark: str = ""  # the ETag, or whatever tells one state of the document from another
    v3: bytes = b""
    v3_mark: str = ""

    @property
    def name(self) -> str:
        """The name of the document of version 3."""
        return f"apis/{self.group}/{self.version}"


def filtered(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The paths below a prefix, and the definitions that they need."""
    wanted = (prefix.rstrip("/"), prefix.rstrip("/") + "/")
    paths = {
        path: item
        for path, item in (document.get("paths") or {}).items()
        if path == wanted[0] or path.startswith(wanted[1])
    }
    definitions: dict[str, Any] = document.get("definitions") or {}
    needed: dict[str, Any] = {}
    pending = set(references(paths))
    while pending:
        name = pending.pop()
        if name in definitions and name not in needed:
            needed[name] = definitions[name]
            pending |= set(references(definitions[name]))
    return {"paths": paths, "definitions": needed}


def merge(own: dict[str, Any], foreign: Sequence[dict[str, Any]]) -> None:
    """Put filtered documents into our own of version 2. Paths that we serve ourselves stay ours."""
    for document in foreign:
        names = _new_names(own["definitions"], document["definitions"])
        for name, schema in document["definitions"].items():
            own["definitions"].setdefault(names.get(name, name), _renamed(schema, names))
        for path, item in document["paths"].items():
            own["paths"].setdefault(path, _renamed(item, names))
    own["paths"] = dict(sorted(own["paths"].items()))


def _new_names(own: dict[str, Any], foreign: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name, schema in foreign.items():
        if name in own and own[name] != schema:
            number = 2
            while f"{name}_v{number}" in own or f"{name}_v{number}" in foreign:
                number += 1
            found[name] = f"{name}_v{number}"
    return found


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, dict):
        return {
            key: _new_reference(item, names) if key == "$ref" else _renamed(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value


def _new_reference(reference: Any, names: dict[str, str]) -> Any:
    name = str(reference).removeprefix(REFERENCE)
    return REFERENCE + names[name] if name in names else reference


def references(value: Any) -> Iterator[str]:
    """The names of the definitions that a part of a document refers to."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"].rpartition("/")[2]
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
