"""Accept: in which form does the client want the answer?

`application/json;as=Table;v=v1;g=meta.k8s.io,application/json` is what kubectl sends. A clause that asks for protobuf
is passed over: clients in Go name a second choice. For those that name none, JSON is translated on its way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apiserver.endpoints.server import Scope
from apiserver.request import RequestContext, wants_pretty
from kubarium.apimachinery import codec, errors

TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
_META_GROUP = "meta.k8s.io"
_META_VERSIONS = ("v1", "v1beta1")
_WILDCARDS = frozenset({"*/*", "application/*"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A form of answer that both sides like."""

    media_type: str = codec.JSON
    transform: str = ""  # Table, PartialObjectMetadata, PartialObjectMetadataList; empty: the object itself
    version: str = "v1"  # of the transform
    pretty: bool = False

    @property
    def is_yaml(self) -> bool:
        """YAML instead of JSON?"""
        return self.media_type == codec.YAML


PLAIN = Accepted()


def accepted(
    scope: Scope,
    context: RequestContext,
    *,
    stream: bool = False,
    tables: bool = True,
) -> Accepted:
    """The form of the answer. Raises NotAcceptable.

    A stream is always JSON. `tables` says whether the endpoint has objects that can be shown as such.
    """
    text = ""
    for name, value in scope["headers"]:
        if name == b"accept":
            text = f"{text},{value.decode('latin-1')}" if text else value.decode("latin-1")
    found = negotiate(text, stream, tables)
    if stream or found.is_yaml:
        return found
    if found.pretty or wants_pretty(context):
        return Accepted(found.media_type, found.transform, found.version, True)
    return found


def as_json(scope: Scope) -> Scope:
    """The request of a client that wants protobuf only, as one for JSON that somebody is going to translate."""
    headers = [
        (name, value.replace(codec.PROTOBUF.encode(), codec.JSON.encode()) if name == b"accept" else value)
        for name, value in scope["headers"]
        if name != b"accept-encoding"
    ]
    # Without the connection: nothing may be written past the translator.
    return {**scope, "headers": headers, "state": {**(scope.get("state") or {}), "protocol": None}}


@lru_cache(maxsize=256)
def negotiate(accept: str, stream: bool = False, tables: bool = True) -> Accepted:
    """The first clause, best quality first, that can be served. Raises NotAcceptable."""
    if not accept:
        return PLAIN
    offered = (codec.JSON,) if stream else (codec.JSON, codec.YAML)
    for media_type, parameters in _clauses(accept):
        if media_type in _WILDCARDS:
            media_type = codec.JSON
        if media_type not in offered:
            continue
        transform = parameters.get("as", "")
        if transform and not _is_known(transform, parameters):
            continue
        if transform == TABLE and not tables:
            continue
        pretty = parameters.get("pretty", "0") not in ("0", "false")
        return Accepted(media_type, transform, parameters.get("v", "v1") if transform else "v1", pretty)
    listed = ", ".join(f"{name};stream=watch" if stream else name for name in (*offered, codec.PROTOBUF))
    raise errors.NotAcceptable(f"only the following media types are accepted: {listed}")


def _is_known(transform: str, parameters: dict[str, str]) -> bool:
    return (
        transform in (TABLE, PARTIAL, PARTIAL_LIST)
        and parameters.get("g") == _META_GROUP
        and parameters.get("v") in _META_VERSIONS
    )


def _clauses(accept: str) -> Iterable[tuple[str, dict[str, str]]]:
    """Media types with their parameters, best quality first, otherwise in the order of the header."""
    found: list[tuple[float, str, dict[str, str]]] = []
    for clause in accept.split(","):
        media_type, *rest = [part.strip() for part in clause.split(";")]
        parameters = {}
        for part in rest:
            name, _, value = part.partition("=")
            parameters[name.strip().lower()] = value.strip().strip('"')
        if media_type:
            found.append((_quality(parameters.pop("q", "1")), media_type.lower(), parameters))
    found.sort(key=lambda clause: -clause[0])
    return [(media_type, parameters) for quality, media_type, parameters in found if quality > 0]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def accepts_gzip(scope: Scope) -> bool:
    """Does the client take compressed answers?"""
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            return any(_is_gzip(part) for part in value.split(b","))
    return False


def _is_gzip(clause: Any) -> bool:
    coding, _, quality = clause.partition(b";")
    return bool(coding.strip() == b"gzip" and quality.strip() not in (b"q=0", b"q=0.0"))
