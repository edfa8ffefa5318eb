"""`-f`: files, folders and standard input become objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from kubarium.apimachinery.object import Object

ENDINGS = (".yaml", ".yml", ".json")


class ManifestError(Exception):
    """A file that is no manifest."""


def read(names: Sequence[str], recursive: bool = False) -> list[Object]:
    """All objects of all files, in their order; a List is taken apart."""
    found = [obj for name in names for obj in _documents(name, recursive)]
    if not found:
        raise ManifestError("no objects passed to apply")
    return found


def _documents(name: str, recursive: bool) -> Iterator[Object]:
    for source, text in _texts(name, recursive):
        try:
            documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        except yaml.YAMLError as error:
            raise ManifestError(f"error parsing {source}: {error}") from error
        for document in documents:
            yield from _objects(document, source)


def _objects(document: object, source: str) -> Iterator[Object]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise ManifestError(f"error validating {source}: invalid object to validate")
    for field in ("apiVersion", "kind"):
        if not document.get(field):
            raise ManifestError(f'error validating "{source}": error validating data: {field} not set')
    if document["kind"] == "List" or (document["kind"].endswith("List") and "items" in document):
        for item in document.get("items") or []:
            yield from _objects(item, source)
    else:
        yield document


def _texts(name: str, recursive: bool) -> Iterator[tuple[str, str]]:
    if name == "-":
        yield "STDIN", sys.stdin.read()
        return
    path = Path(name)
    if not path.exists():
        raise ManifestError(f'the path "{name}" does not exist')
    if path.is_dir():
        entries = sorted(path.rglob("*") if recursive else path.iterdir())
        for entry in entries:
            if entry.suffix in ENDINGS and entry.is_file():
                yield str(entry), entry.read_text()
        return
    yield name, path.read_text()
