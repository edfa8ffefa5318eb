"""`/statusz` and `/flagz`: how long a program has been running, as what, and with which flags.

Source: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterable
from typing import Any

from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import Page, Scope
from kubarium.component_base.version import VERSION

WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is "
    "for debugging purposes only."
)
TEXT = "text/plain; charset=utf-8"


class StatusPages:
    """The two pages of one program; `flags` is its options, `paths` what else it serves."""

    def __init__(self, name: str, flags: Any, clock: Clock, paths: Callable[[], Iterable[str]]) -> None:
        self._name, self._flags, self._clock, self._paths = name, flags, clock, paths
        self._started = (clock.now(), clock.monotonic())

    def pages(self) -> dict[str, Page]:
        """By path."""
        return {"/statusz": self._statusz, "/flagz": self._flagz}

    async def _statusz(self, scope: Scope) -> tuple[int, str, bytes]:
        moment, begun = self._started
        seconds = int(self._clock.monotonic() - begun)
        lines = {
            "Started": moment.strftime("%a %b %e %H:%M:%S UTC %Y"),
            "Up": f"{seconds // 3600} hr {seconds // 60 % 60:02d} min {seconds % 60:02d} sec",
            "Python version": platform.python_version(),
            "Binary version": VERSION.lstrip("v"),
            "Emulation version": VERSION.lstrip("v").rpartition(".")[0],
            "Paths": " ".join(sorted(path for path in self._paths() if not path.endswith("/"))),
        }
        return self._plain(scope, "statusz", [f"{name}: {text}" for name, text in lines.items()])

    async def _flagz(self, scope: Scope) -> tuple[int, str, bytes]:
        values = dataclasses.asdict(self._flags)
        names = {field.name: field.metadata.get("name") for field in dataclasses.fields(self._flags)}
        lines = [
            f"{names[key] or key.replace('_', '-')}={_shown(value)}" for key, value in sorted(values.items())
        ]
        return self._plain(scope, "flags", lines)

    def _plain(self, scope: Scope, title: str, lines: list[str]) -> tuple[int, str, bytes]:
        accepted = dict(scope["headers"]).get(b"accept", b"").decode()
        if accepted and not any(kind in accepted for kind in ("text/plain", "text/*", "*/*")):
            return 406, TEXT, b"the server was unable to respond with a content type that the client supports"
        text = "\n".join(["", f"{self._name} {title}", WARNING, "", *lines, ""])
        return 200, TEXT, text.encode()


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={_shown(one)}" for key, one in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
