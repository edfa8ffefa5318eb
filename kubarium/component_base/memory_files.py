"""Files without a place in the file system, for libraries that want a path: nothing of them is ever left."""

from __future__ import annotations

import os
from typing import Self


class MemoryFiles:
    """Files that live as long as the `with` block, and never longer than the process."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def keep(self, name: str, content: bytes) -> str:
        """A path under which this process, and no other, can read the content."""
        descriptor = os.memfd_create(name)
        self._open.append(descriptor)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        return f"/proc/self/fd/{descriptor}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        while self._open:
            os.close(self._open.pop())
