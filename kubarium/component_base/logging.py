"""One key=value line per event on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def get(name: str) -> logging.Logger:
    """The logger of a module: `log = logging.get(__name__)`."""
    return logging.getLogger(name)


def name(obj: Mapping[str, Any]) -> str:
    """`namespace/name` of an API object, for a log line."""
    metadata = obj.get("metadata") or {}
    own = metadata.get("name") or metadata.get("generateName") or ""
    return f"{metadata['namespace']}/{own}" if metadata.get("namespace") else own


class LineFormatter(logging.Formatter):
    """`time=… level=… component=… msg="…"`."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = record.getMessage().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        head = f"time={moment} level={record.levelname.lower()} component={self._component} at={record.name}"
        line = f'{head} msg="{text}"'
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def setup(component: str, verbosity: int = 0) -> None:
    """Send every log line of this process to standard error.

    `verbosity` is the `-v` flag of upstream's components: from 2 on debug lines are shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity >= 2 else logging.INFO)
    for noisy in ("httpx", "httpcore", "hpack", "asyncio", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
