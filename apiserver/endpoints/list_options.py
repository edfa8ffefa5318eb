"""`limit`, `continue`, `resourceVersion` and `resourceVersionMatch`: what they mean together, and what is forbidden.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from apiserver.request import first, is_true
from apiserver.storage.interface import RevisionTooLarge
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, not_supported
from kubarium.apimachinery.object import Object

EXACT, NOT_OLDER_THAN = "Exact", "NotOlderThan"
TOKEN_VERSION = "meta.k8s.io/v1"
_LONGEST = 64  # digits: nobody shall make us read a number of a million of them
_MATCH = FieldPath("resourceVersionMatch")
_INITIAL_EVENTS = FieldPath("sendInitialEvents")

CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
LIST_TOO_OLD = "The resourceVersion for the provided list is too old."


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which state of the world a list shows, and which part of it."""

    minimum_revision: int | None = None  # None: the newest
    exact_revision: int = 0
    start: str = ""  # key to start at, relative to the list's prefix
    limit: int = 0
    continues: bool = False


ALL_OF_THE_NEWEST = ListOptions()


class ExpiredContinue(errors.Expired):
    """A continue token is too old; the answer brings another one, for whoever does not mind inconsistency."""

    def __init__(self, start: str) -> None:
        super().__init__(CONTINUE_TOO_OLD, {})
        self._token = encode_token(-1, start)

    def status(self) -> Object:
        body = super().status()
        body["metadata"] = {"continue": self._token}
        return body


def list_options(query: Mapping[str, list[str]]) -> ListOptions:
    """What a list request asks for. Raises Invalid or BadRequest."""
    if not query:
        return ALL_OF_THE_NEWEST
    version, match = first(query, "resourceVersion"), first(query, "resourceVersionMatch")
    token = first(query, "continue")
    problems = _match_problems(match, version, token)
    if "sendInitialEvents" in query:
        problems.append(forbidden(_INITIAL_EVENTS, "sendInitialEvents is forbidden for list"))
    _raise(problems)
    limit = integer_in(query, "limit")
    integer_in(query, "timeoutSeconds")  # nobody needs it here, but nonsense is refused
    if token:
        if version not in ("", "0"):
            raise errors.BadRequest("specifying resource version is not allowed when using continue")
        revision, start = decode_token(token)
        return ListOptions(None, max(revision, 0), start, limit, True)
    try:
        revision_asked = revision_in(version)
    except errors.BadRequest as error:
        raise errors.BadRequest(f"invalid resource version: {error.message}") from None
    if version == "0":
        return ListOptions(0)  # as upstream: any cached state comes whole
    if revision_asked and (match == EXACT or (limit and not match)):
        return ListOptions(None, revision_asked, "", limit)
    return ListOptions(revision_asked, 0, "", limit)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Where a watch begins, and what it says besides changes."""

    version: str  # as given: empty, 0 or a number
    revision: int
    initial_events: bool | None
    bookmarks: bool
    timeout: int  # seconds; 0: not asked for


def watch_options(query: Mapping[str, list[str]]) -> WatchOptions:
    """What a watch request asks for. Raises Invalid or BadRequest."""
    version, match = first(query, "resourceVersion"), first(query, "resourceVersionMatch")
    initial = is_true(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    problems: list[FieldError] = []
    if initial is not None and match != NOT_OLDER_THAN:
        text = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        problems.append(forbidden(_MATCH, text))
    if match:
        if initial is None:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            problems.append(forbidden(_MATCH, text))
        if match != NOT_OLDER_THAN:
            problems.append(not_supported(_MATCH, match, [NOT_OLDER_THAN]))
        if first(query, "continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            problems.append(forbidden(_MATCH, text))
    _raise(problems)
    return WatchOptions(
        version,
        revision_in(version) or 0,
        initial,
        is_true(query, "allowWatchBookmarks"),
        integer_in(query, "timeoutSeconds"),
    )


def _match_problems(match: str, version: str, token: str) -> list[FieldError]:
    if not match:
        return []
    found = []
    if not version:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(forbidden(_MATCH, text))
    if token:
        found.append(forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    if match not in (EXACT, NOT_OLDER_THAN):
        found.append(not_supported(_MATCH, match, [EXACT, NOT_OLDER_THAN, ""]))
    if match == EXACT and version == "0":
        found.append(forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    return found


def _raise(problems: list[FieldError]) -> None:
    if problems:
        raise errors.Invalid.of("meta.k8s.io", "ListOptions", "", problems)


def revision_in(text: str) -> int | None:
    """A `resourceVersion` as a number; None when nothing is said. Raises BadRequest."""
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else -1
    if not 0 <= number < 1 << 64:
        why = "value out of range" if text.isascii() and text.isdigit() else "invalid syntax"
        problem = f'strconv.ParseUint: parsing "{text}": {why}'
        raise errors.BadRequest(f'resourceVersion: Invalid value: "{text}": {problem}')
    return number


def integer_in(query: Mapping[str, list[str]], name: str) -> int:
    """A number in the query; 0 when nothing is said. Raises BadRequest."""
    text = first(query, name)
    if not text:
        return 0
    try:
        return max(int(text), 0)
    except ValueError:
        raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def too_large(error: RevisionTooLarge) -> errors.StatusError:
    """The client asks for a state that has not come yet: it shall try again."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.Timeout(f"Timeout: {error}", {"causes": [cause], "retryAfterSeconds": 1})


def encode_token(revision: int, start: str) -> str:
    """A continue token: where to go on, and in which state of the world (-1: the newest)."""
    body = orjson.dumps({"v": TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


def decode_token(token: str) -> tuple[int, str]:
    """Revision and start of a continue token. Raises BadRequest."""
    try:
        if (illegal := _ILLEGAL.search(token)) is not None or len(token) % 4 == 1:
            at = illegal.start() if illegal is not None else len(token) - 1
            raise _bad_token(f"illegal base64 data at input byte {at}")
        body = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = body["v"], int(body.get("rv") or 0), str(body.get("start") or "")
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad_token(str(error)) from None
    if version != TOKEN_VERSION:
        raise _bad_token(f'server does not recognize this encoded version "{version}"')
    if not revision:
        raise _bad_token(f"incorrect encoded start resourceVersion (version {TOKEN_VERSION})")
    if not start:
        raise _bad_token(f"encoded start key empty (version {TOKEN_VERSION})")
    if start.startswith("/") or ".." in start.split("/"):
        raise _bad_token(start)
    return revision, start


def _bad_token(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"invalid continue token: continue key is not valid: {why}")
