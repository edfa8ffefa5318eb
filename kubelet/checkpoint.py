"""Small files by which a kubelet knows after its own end what it did before: whole, or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def read(file: Path) -> Any:
    """What was written; None where there is nothing that can be read."""
    try:
        return orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def write(file: Path, content: object) -> None:
    """Write it as JSON, in place of what was there. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.tmp")
    draft.write_bytes(orjson.dumps(content))
    draft.rename(file)
