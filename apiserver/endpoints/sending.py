"""Sends bytes that are there already: in parts, compressed where that pays, pretty or as YAML where people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import yaml
from isal import isal_zlib

from apiserver.endpoints.negotiation import Accepted, accepts_gzip
from apiserver.endpoints.server import Scope, Send

PART = 512 * 1024  # bytes: larger parts cost more copying, smaller ones more awaiting
GZIP_FROM = 128 * 1024  # bytes, upstream's threshold
_GZIP_WINDOW = 16 + 15  # zlib's way to say gzip
_JSON = (b"content-type", b"application/json")
_YAML = (b"content-type", b"application/yaml")
_GZIPPED = [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]


async def send_bytes(
    scope: Scope, send: Send, accepted: Accepted, parts: Sequence[bytes], size: int = 0, status: int = 200
) -> None:
    """Send JSON that lies in parts as the whole answer; `size` is their sum, if the caller knows it."""
    kind = _JSON
    if accepted.is_yaml or accepted.pretty:
        parts = [_for_reading(b"".join(parts), accepted)]
        kind, size = (_YAML if accepted.is_yaml else _JSON), len(parts[0])
    size = size or sum(map(len, parts))
    if size > GZIP_FROM and accepts_gzip(scope):
        await send({"type": "http.response.start", "status": status, "headers": [kind, *_GZIPPED]})
        for part in _gzipped(parts):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    length = (b"content-length", b"%d" % size)
    await send({"type": "http.response.start", "status": status, "headers": [kind, length]})
    last = len(parts) - 1
    for at, part in enumerate(parts):
        await send({"type": "http.response.body", "body": part, "more_body": at != last})


def cut(head: bytes, items: tuple[Sequence[bytes], bytes, bytes], tail: bytes) -> tuple[list[bytes], int]:
    """A list as parts of about half a megabyte, and their whole size."""
    found, before, between = items
    size = len(head) + len(tail)
    if not found:
        return [head + tail], size
    lengths = list(map(len, found))
    size += sum(lengths) + len(before) + len(between) * (len(found) - 1)
    if size <= PART:
        return [b"".join((head, before, between.join(found), tail))], size
    parts: list[bytes] = []
    begin, filled = 0, 0
    opening = head + before
    for at, length in enumerate(lengths):
        filled += length
        if filled >= PART:
            parts.append(opening + between.join(found[begin : at + 1]))
            opening, begin, filled = between, at + 1, 0
    parts.append(opening + between.join(found[begin:]) + tail if begin < len(found) else tail)
    return parts, size


def _gzipped(parts: Sequence[bytes]) -> Iterator[bytes]:
    compressor: Any = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP_WINDOW)
    for part in parts:
        packed = compressor.compress(part)
        if packed:
            yield packed
    yield compressor.flush()


def _for_reading(body: bytes, accepted: Accepted) -> bytes:
    obj = orjson.loads(body)
    if accepted.is_yaml:
        return yaml.dump(obj, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True).encode()
    return orjson.dumps(obj, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
