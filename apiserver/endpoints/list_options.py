"""`limit`, `continue`, `resourceVersion` and `resourceVersionMatch`: what they mean together, and what is forbidden.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from apiserver.endpoints.continue_tokens import decode_token
from apiserver.request import first, is_true
from apiserver.storage.interface import RevisionTooLarge
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, not_supported

EXACT, NOT_OLDER_THAN = "Exact", "NotOlderThan"
_NUMBER = re.compile("[+-]?[0-9]+")
_LONGEST = 64  # digits: nobody shall make us read a number of a million of them
_MATCH = FieldPath("resourceVersionMatch")
_INITIAL_EVENTS = FieldPath("sendInitialEvents")

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
        revision, start = decode_token(token)
        if version not in ("", "0"):
            raise errors.BadRequest("specifying resource version is not allowed when using continue")
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
    if initial is None and not match and version in ("", "0"):
        initial, match = True, NOT_OLDER_THAN  # upstream's default
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
    """A number in the query, at least 0; 0 when nothing is said. Raises BadRequest."""
    return max(number_in(query, name) or 0, 0)


def number_in(query: Mapping[str, list[str]], name: str) -> int | None:
    """A number in the query, as Go reads it; None when nothing is said. Raises BadRequest."""
    if name not in query:
        return None
    text = first(query, name)
    is_number = _NUMBER.fullmatch(text) is not None
    number = int(text) if is_number and len(text) <= _LONGEST else 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        why = "value out of range" if is_number else "invalid syntax"
        raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": {why}')
    return number


def too_large(error: RevisionTooLarge, *, retry: bool = True) -> errors.StatusError:
    """The client asks for a state that has not come yet: it shall try again, unless it wants exactly that one."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    after = {"retryAfterSeconds": 1} if retry else {}
    return errors.Timeout(f"Timeout: {error}", {"causes": [cause], **after})
