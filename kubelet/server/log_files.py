"""The node's own logs below `/logs/`: files of `/var/log` and lists of its directories."""

from __future__ import annotations

import html
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

ROOT = Path("/var/log")
PART = 64 * 1024


class NotThere(Exception):
    """No such file, or it is not below the directory of logs."""


def find(relative: str, root: Path = ROOT) -> Path:
    """The file that is meant. Links are followed only where they stay below. Raises NotThere."""
    try:
        found = (root / relative.lstrip("/")).resolve(strict=True)
    except (OSError, ValueError) as error:
        raise NotThere(relative) from error
    if not found.is_relative_to(root.resolve()):
        raise NotThere(relative)
    return found


def listing(directory: Path) -> bytes:
    """A page of links, as Go's file server makes it."""
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in directory.iterdir())
    links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
    page = f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{links}</pre>\n'
    return page.encode()


async def content(file: Path) -> AsyncIterator[bytes]:
    """The file as it is now, part by part. Raises NotThere for what is no plain file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotThere(str(file))
        while part := opened.read(PART):
            yield part
