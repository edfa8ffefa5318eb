"""One line per event on standard error: key=value, or JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def get(name: str) -> logging.Logger:
    """The logger of a module: `log = logging.get(__name__)`."""
    return logging.getLogger(name)


def at(verbosity: int) -> int:
    """The level of lines that are shown from `-v=verbosity` on, the flag of upstream's components."""
    return logging.INFO if verbosity < 2 else max(1, logging.DEBUG + 2 - verbosity)


def show(verbosity: int) -> None:
    """Show the lines of all levels up to this one."""
    logging.getLogger().setLevel(at(verbosity))


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
        level = logging.getLevelName(max(record.levelno, logging.DEBUG)).lower()
        head = f"time={moment} level={level} component={self._component} at={record.name}"
        line = f'{head} msg="{text}"'
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JSONFormatter(logging.Formatter):
    """`--logging-format=json`: `ts` in milliseconds, `v` or `err`, `msg`, as upstream's components write it."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": record.created * 1000,
            "caller": record.name,
            "msg": record.getMessage(),
        }
        if record.levelno < logging.WARNING:
            line["v"] = max(2, logging.DEBUG + 2 - record.levelno) if record.levelno < logging.INFO else 0
        if record.exc_info:
            line["err"] = self.formatException(record.exc_info)
        return json.dumps(line | {"logger": self._component})


def setup(component: str, verbosity: int = 0, form: str = "text") -> None:
    """Send every log line of this process to standard error.

    From `-v=2` on debug lines are shown, from 3 on requests, from 4 on the turns of controllers; `form`: text or json.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter(component) if form == "json" else LineFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    show(verbosity)
    for noisy in ("httpx", "httpcore", "hpack", "asyncio", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
