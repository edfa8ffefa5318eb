"""What is said to etcd and heard from it, as protobuf: only the messages and fields that we use.

Source of the numbers: api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto of etcd
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kubarium.apimachinery.protobuf.wire import field, fields, number_field, read_varint

_REVISION = re.compile(rb"(?:\x08[\x80-\xff]*[\0-\x7f])?(?:\x10[\x80-\xff]*[\0-\x7f])?\x18")
"""In a header, what is before the revision: the long numbers of the cluster and of the member."""
_PUT = b"\x12"  # what an answer to that begins with
_MOD_REVISION = number_field(2, 2)  # what a Compare looks at
_KEYS_ONLY, _PREVIOUS_DELETED, _PREVIOUS_WATCHED = number_field(8, 1), number_field(3, 1), number_field(6, 1)


class KeyValue(NamedTuple):
    """A key, its value, and the revision of its last change."""

    key: str
    value: bytes
    revision: int
    lease: int = 0


class Answer(NamedTuple):
    """What a range found. `total` is the number of keys without the limit."""

    items: Sequence[KeyValue]
    revision: int
    more: bool
    total: int


class Outcome(NamedTuple):
    """What a transaction did. `current` is the state that made it fail, `previous` what was deleted; if any."""

    succeeded: bool
    revision: int
    current: KeyValue | None = None
    previous: KeyValue | None = None


class Event(NamedTuple):
    """A key changed; `value` is None when it was deleted."""

    key: str
    revision: int
    value: bytes | None
    previous: KeyValue | None = None


class Watched(NamedTuple):
    """One answer of a watch: that it begins, what happened, or that it is over."""

    revision: int
    created: bool
    cancelled: bool
    compacted: int
    """The oldest revision that could be watched, where the one that was wanted is forgotten."""
    reason: str
    events: Sequence[Event]


# --------------------------------------------------------------------------------------------------------- requests


def range_request(
    key: str,
    end: bytes = b"",
    *,
    limit: int = 0,
    revision: int = 0,
    keys_only: bool = False,
    changed_after: int = 0,
) -> bytes:
    """A key, or all keys before an end."""
    return b"".join(
        (
            field(1, key.encode()),
            field(2, end) if end else b"",
            number_field(3, limit) if limit else b"",
            number_field(4, revision) if revision else b"",
            _KEYS_ONLY if keys_only else b"",
            number_field(10, changed_after + 1) if changed_after else b"",
        )
    )


def put(key: str, value: bytes, lease: int = 0) -> bytes:
    """An operation of a transaction: put a key."""
    leased = number_field(3, lease) if lease else b""
    return field(2, field(1, key.encode()) + field(2, value) + leased)


def delete(key: str) -> bytes:
    """An operation of a transaction: delete a key, and say what it was."""
    return field(3, field(1, key.encode()) + _PREVIOUS_DELETED)


def transaction(key: str, revision: int, operations: Sequence[bytes]) -> bytes:
    """Do all if the last change of a key was at a revision (0: it does not exist); else tell its state."""
    name = key.encode()
    unchanged = field(1, _MOD_REVISION + field(3, name) + number_field(6, revision))
    state = field(3, field(1, field(1, name)))
    return b"".join((unchanged, *[field(2, operation) for operation in operations], state))


def compaction_request(revision: int) -> bytes:
    """Forget what was before a revision."""
    return number_field(1, revision)


def lease_request(seconds: int) -> bytes:
    """A lease of so many seconds."""
    return number_field(1, seconds)


def watch_request(key: str, end: bytes, start: int, previous: bool) -> bytes:
    """Changes from a revision on, and what was there before if that is wanted."""
    content = field(1, key.encode()) + field(2, end) + number_field(3, start)
    return field(1, content + _PREVIOUS_WATCHED if previous else content)


# ---------------------------------------------------------------------------------------------------------- answers


def read_range(message: bytes) -> Answer:
    """A RangeResponse."""
    items: list[KeyValue] = []
    revision = more = total = 0
    for number, payload in fields(message):
        if number == 2:
            items.append(_key_value(payload))
        elif number == 1:
            revision = _revision(payload)
        elif number == 3:
            more = payload
        elif number == 4:
            total = payload
    return Answer(items, revision, bool(more), total)


def read_transaction(message: bytes) -> Outcome:
    """A TxnResponse."""
    found = dict(reversed(fields(message)))  # the first of several answers is that of the first operation
    revision, answer = _revision(found[1]), found.get(3, b"")
    if answer[:1] == _PUT:
        return Outcome(True, revision)
    current = previous = None
    for kind, content in fields(answer):
        if kind == 1:
            current = _first(content, 2)
        elif kind == 3:
            previous = _first(content, 3)
    return Outcome(bool(found.get(2)), revision, current, previous)


def read_lease(message: bytes) -> int:
    """The number of a lease, in a LeaseGrantResponse."""
    return int(dict(fields(message))[2])


def read_size(message: bytes) -> int:
    """How many bytes etcd's file has, in a StatusResponse."""
    return int(dict(fields(message)).get(3, 0))


def read_watch(message: bytes) -> Watched:
    """A WatchResponse."""
    events: list[Event] = []
    found: dict[int, Any] = {}
    for number, payload in fields(message):
        if number == 11:
            events.append(_event(payload))
        else:
            found[number] = payload
    reason = found.get(6, b"").decode()
    revision = _revision(found.get(1, b""))
    return Watched(revision, bool(found.get(3)), bool(found.get(4)), found.get(5, 0), reason, events)


def _revision(header: bytes) -> int:
    found = _REVISION.match(header)
    return read_varint(header, found.end())[0] if found is not None else 0


def _key_value(message: bytes) -> KeyValue:
    found = dict(fields(message))
    return KeyValue(found[1].decode(), found.get(5, b""), found.get(3, 0), found.get(6, 0))


def _first(message: bytes, number: int) -> KeyValue | None:
    return next((_key_value(payload) for at, payload in fields(message) if at == number), None)


def _event(message: bytes) -> Event:
    found = dict(fields(message))
    now = _key_value(found[2])
    value = None if found.get(1) else now.value
    return Event(now.key, now.revision, value, _key_value(found[3]) if 3 in found else None)
