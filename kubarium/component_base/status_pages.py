"""`/statusz` and `/flagz`: how long a program has been running, as what, and with which flags.

As text, or as an object for whoever asks for one: `Accept: application/json;v=v1beta1;g=config.k8s.io;as=Statusz`.
Source: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
import yaml

from kubarium.component_base.clock import Clock
from kubarium.component_base.options import Duration, format_duration
from kubarium.component_base.serving import Page, Scope
from kubarium.component_base.version import VERSION, version_document

WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is "
    "for debugging purposes only."
)
TEXT = "text/plain; charset=utf-8"
_JSON, _YAML, _PLAIN = _FORMS = ("application/json", "application/yaml", "text/plain")
_GROUP, _VERSIONS = "config.k8s.io", ("v1beta1", "v1alpha1")
_OF_THE_API = ("/api", "/apis", "/openid", "/openapi", "/.well-known")  # paths that are for no debugging


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
        folders = {"/" + path.split("/")[1] for path in self._paths()} - {"/", *_OF_THE_API}
        version = VERSION.lstrip("v")
        found = {
            "startTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "uptimeSeconds": seconds,
            "goVersion": version_document()["goVersion"],
            "binaryVersion": version,
            "emulationVersion": version.rpartition(".")[0],
            "paths": sorted(folders),
        }
        lines = {
            "Started": moment.strftime("%a %b %e %H:%M:%S UTC %Y"),
            "Up": f"{seconds // 3600} hr {seconds // 60 % 60:02d} min {seconds % 60:02d} sec",
            "Go version": found["goVersion"],
            "Binary version": version,
            "Emulation version": found["emulationVersion"],
            "Paths": " ".join(sorted(folders)),
        }
        return self._answer(
            scope, "Statusz", found, ["", *(f"{name}: {text}" for name, text in lines.items())]
        )

    async def _flagz(self, scope: Scope) -> tuple[int, str, bytes]:
        flags = dict(sorted(shown_flags(self._flags)))
        return self._answer(
            scope, "Flagz", {"flags": flags}, [f"{name}={text}" for name, text in flags.items()]
        )

    def _answer(
        self, scope: Scope, kind: str, fields: Mapping[str, Any], lines: list[str]
    ) -> tuple[int, str, bytes]:
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        form, version = negotiate(accept, kind)
        if not form:
            return 406, _JSON, orjson.dumps(_NOT_ACCEPTABLE)
        if form == _PLAIN:
            return 200, TEXT, "\n".join(["", f"{self._name} {kind.lower()}", WARNING, *lines, ""]).encode()
        head = {"kind": kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": self._name}}
        body = orjson.dumps({**head, **fields}) + b"\n" if form == _JSON else _as_yaml({**head, **fields})
        return 200, f"{form};g={_GROUP};v={version};as={kind}", body


def negotiate(accept: str, kind: str) -> tuple[str, str]:
    """The form of an answer and the version of its object; no form if none is accepted."""
    if not accept.strip():
        return _PLAIN, ""
    clauses = [_clause(text) for text in accept.split(",")]
    for media_type, wanted in sorted(clauses, key=lambda clause: -_weight(clause[1])):
        for form in _FORMS:
            if media_type not in (form, form.partition("/")[0] + "/*", "*/*"):
                continue
            named = wanted.get("as"), wanted.get("g"), wanted.get("v")
            if form == _PLAIN and named == (None, None, None):
                return form, ""
            if form != _PLAIN and named[:2] == (kind, _GROUP) and named[2] in _VERSIONS:
                return form, str(named[2])
    return "", ""


def _clause(text: str) -> tuple[str, dict[str, str]]:
    media_type, *rest = (part.strip() for part in text.split(";"))
    return media_type, {
        name.strip(): value.strip() for name, _, value in (one.partition("=") for one in rest)
    }


def _weight(wanted: Mapping[str, str]) -> float:
    try:
        return float(wanted.get("q", "1"))
    except ValueError:
        return 1.0


_NOT_ACCEPTABLE = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": f"only the following media types are accepted: {', '.join(_FORMS)}",
    "reason": "NotAcceptable",
    "code": 406,
}


def _as_yaml(found: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(found)).encode()


def shown_flags(options: Any) -> Iterator[tuple[str, str]]:
    """Flags and their values, as pflag writes them."""
    hints = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):
        name = field.metadata.get("name") or field.name.replace("_", "-")
        yield name, _shown(getattr(options, field.name), hints[field.name])


def _shown(value: Any, hint: Any = None) -> str:
    if hint is Duration:
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = ",".join(f"{key}={_shown(one)}" for key, one in sorted(value.items()))
        return pairs if hint == dict[str, bool] else f"[{pairs}]"
    return f"[{','.join(map(_shown, value))}]" if isinstance(value, tuple) else str(value)
