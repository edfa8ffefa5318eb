"""`kubectl foo bar` runs the program `kubectl-foo-bar`, or `kubectl-foo`, of PATH, if there is no such command.

Source: https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

PREFIX = "kubectl-"


def found(words: Sequence[str], commands: Container[str]) -> list[str]:
    """The plugin that the words mean, with its arguments; nothing if they mean a command, or nothing that is there."""
    names = [word.replace("-", "_") for word in itertools.takewhile(lambda word: word[:1] != "-", words)]
    if not names or names[0] in commands or words[0] in commands:
        return []
    for count in range(len(names), 0, -1):
        if path := shutil.which(PREFIX + "-".join(names[:count])):
            return [path, *words[count:]]
    return []


def on_path() -> Iterator[Path]:
    """Every file that looks like a plugin, in the order of PATH."""
    for folder in dict.fromkeys(filter(str.strip, os.environ.get("PATH", "").split(os.pathsep))):
        if Path(folder).is_dir():
            yield from sorted(path for path in Path(folder).glob(f"{PREFIX}*") if path.is_file())
