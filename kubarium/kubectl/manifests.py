"""`-f`: files, folders and standard input become objects."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from kubarium.apimachinery import labels
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object

BUILDERS = (("kustomize", "build"), ("kubectl", "kustomize"))
ASKED = "KUBARIUM_ASKED_TO_KUSTOMIZE"
NO_KUSTOMIZE = (
    "this kubectl lets others build kustomizations, and neither kustomize nor another kubectl is on PATH"
)
PATIENCE = 30.0  # seconds for a file of the web
ENDINGS = (".yaml", ".yml", ".json")


class ManifestError(Exception):
    """A file that is no manifest."""


@contextlib.contextmanager
def in_file(verb: str, source: str) -> Iterator[None]:
    """Let a refusal name the file that the object stands in."""
    try:
        yield
    except StatusError as error:
        if error.reason != "Invalid":
            error.message = f'error when {verb} "{source}": {error.message}'
        raise


def read(names: Sequence[str], recursive: bool = False) -> list[Object]:
    """All objects of all files, in their order; a List is taken apart."""
    return [obj for obj, _ in sourced(names, recursive)]


def sourced(names: Sequence[str], recursive: bool = False, verb: str = "apply") -> list[tuple[Object, str]]:
    """All objects, each with the file that it is from."""
    words = [word for name in names for word in name.split(",")]
    found = [each for name in words for each in _documents(name, recursive)]
    if not found:
        raise ManifestError(f"no objects passed to {verb}")
    return found


def chosen(
    files: Sequence[str], folder: str, recursive: bool, selector: str = "", verb: str = "apply"
) -> list[tuple[Object, str]]:
    """What `-f` or `-k` names and `-l` chooses."""
    if folder and files:
        raise ManifestError("only one of -f or -k can be specified")
    wanted = labels.parse(selector)
    found = [*_parsed(folder, kustomized(folder))] if folder else sourced(files, recursive, verb)
    return [each for each in found if wanted.matches((each[0].get("metadata") or {}).get("labels") or {})]


def kustomized(folder: str) -> str:
    """What a kustomization builds. Raises ManifestError."""
    for tool, verb in BUILDERS:
        # Where kubectl is a name of this very program, it must not ask itself for ever.
        if ASKED not in os.environ and (path := shutil.which(tool)):
            done = subprocess.run(
                [path, verb, folder],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, ASKED: "1"},
            )
            if done.returncode:
                raise ManifestError(done.stderr.strip().removeprefix("error: ").removeprefix("Error: "))
            return done.stdout
    raise ManifestError(NO_KUSTOMIZE)


def _documents(name: str, recursive: bool) -> Iterator[tuple[Object, str]]:
    for source, text in _texts(name, recursive):
        yield from _parsed(source, text)


def _parsed(source: str, text: str) -> Iterator[tuple[Object, str]]:
    try:
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise ManifestError(
            f"error parsing {source}: error converting YAML to JSON: yaml: {_yaml_problem(error)}"
        ) from error
    for document in documents:
        yield from ((obj, source) for obj in _objects(document, source))


def _objects(document: object, source: str) -> Iterator[Object]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise ManifestError(f"error validating {source}: invalid object to validate")
    for field in ("apiVersion", "kind"):
        if not document.get(field):
            raise ManifestError(
                f'error validating "{source}": error validating data: {field} not set; if you choose to ignore '
                "these errors, turn validation off with --validate=false"
            )
    if document["kind"] == "List" or (document["kind"].endswith("List") and "items" in document):
        for item in document.get("items") or []:
            yield from _objects(item, source)
    else:
        yield document


def _yaml_problem(error: yaml.YAMLError) -> str:
    """The problem with its line, as Go's library counts it."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    line = error.problem_mark.line if error.problem_mark else 0
    where = line + 1 if isinstance(error, yaml.scanner.ScannerError) else line
    return f"line {where}: {error.problem}" if line else str(error.problem)


def _texts(name: str, recursive: bool) -> Iterator[tuple[str, str]]:
    if name == "-":
        yield "STDIN", sys.stdin.read()
        return
    if name.startswith(("http://", "https://")):
        yield name, _fetched(name)
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


def _fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        raise ManifestError(
            f"unable to read URL {url!r}, server reported {error.code} {error.reason}, status code={error.code}"
        ) from error
    except OSError as error:
        raise ManifestError(f"unable to read URL {url!r}: {error}") from error
