"""Continue tokens: where a list goes on, and in which state of the world.

Clients shall not look into them, but what a broken one is answered is upstream's, word by word.
"""

from __future__ import annotations

import base64
import posixpath
import re
from typing import Any

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.codec import go_json_error, json_type
from kubarium.apimachinery.object import Object

TOKEN_VERSION = "meta.k8s.io/v1"
_TYPES = {"v": "string", "rv": "int64", "start": "string"}

CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class ExpiredContinue(errors.Expired):
    """A continue token is too old; the answer brings another one, for whoever does not mind inconsistency."""

    def __init__(self, start: str) -> None:
        super().__init__(CONTINUE_TOO_OLD)
        self._token = encode_token(-1, start)

    def status(self) -> Object:
        body = super().status()
        body["metadata"] = {"continue": self._token}
        return body


def encode_token(revision: int, start: str) -> str:
    """A continue token: where to go on, and in which state of the world (-1: the newest)."""
    body = orjson.dumps({"v": TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


def decode_token(token: str) -> tuple[int, str]:
    """Revision and start of a continue token. Raises BadRequest."""
    fields = _fields(_bytes_of(token))
    version, revision, start = fields.get("v") or "", fields.get("rv") or 0, fields.get("start") or ""
    if version != TOKEN_VERSION:
        raise _bad_token(f"server does not recognize this encoded version {version}")
    if not revision:
        raise _bad_token(f"incorrect encoded start resourceVersion (version {TOKEN_VERSION})")
    if not start:
        raise _bad_token(f"encoded start key empty (version {TOKEN_VERSION})")
    rooted = "/" + start.removeprefix("/")
    if rooted.startswith("//") or posixpath.normpath(rooted) != rooted:
        raise _bad_token(start)  # it would lead out of what is listed
    return revision, rooted[1:]


def _bytes_of(token: str) -> bytes:
    if (illegal := _ILLEGAL.search(token)) is not None or len(token) % 4 == 1:
        at = illegal.start() if illegal is not None else len(token) - 1
        raise _bad_token(f"illegal base64 data at input byte {at}")
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def _fields(body: bytes) -> Object:
    """What a token says, if Go could read it."""
    try:
        found: Any = orjson.loads(body.decode(errors="replace"))
    except orjson.JSONDecodeError as error:
        raise _bad_token(go_json_error(body, error)) from None
    if not isinstance(found, dict | None):
        raise _bad_token(
            f"json: cannot unmarshal {json_type(found)} into Go value of type storage.continueToken"
        )
    for name, value in (found or {}).items():
        wanted = _TYPES.get(name)
        if wanted and value is not None and not _fits(value, wanted):
            given = json_type(value)
            if given == "number" and wanted == "int64":
                given += f" {orjson.dumps(value).decode()}"
            raise _bad_token(
                f"json: cannot unmarshal {given} into Go struct field continueToken.{name} of type {wanted}"
            )
    return found or {}


def _fits(value: Any, wanted: str) -> bool:
    if wanted == "string":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _bad_token(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"invalid continue token: continue key is not valid: {why}")
