"""One object at one revision, kept as bytes: how values lie in etcd, and how they go to clients.

    in etcd       {"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"},"spec":{…}}
    to clients    {"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"17","name":"web"},"spec":{…}}
                  └──────────── head ───────────┘└──────────────────────── tail ─────────────────────────────┘

Kind, version and metadata come first, so that the place for `resourceVersion` is found without decoding. Only the two
parts on the right are kept; GET joins head and tail, LIST joins many tails, WATCH puts them into an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec
import orjson

from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object

_METADATA = b'"metadata":{'
_VERSION = b'"metadata":{"resourceVersion":"%d"'
_VERSION_AT = len(b'"metadata":{"resourceVersion":"')
_HEAD = re.compile(rb'\{"kind":"[^"\\]*","apiVersion":"[^"\\]*",')
_LONGEST_HEAD = 1024
_MOST_VERSIONS = 8  # in which an object is remembered

_heads: dict[bytes, bytes] = {}  # heads seen, so that a thousand pods share one


SEALED = b"k8s:enc:"  # with which every encrypted value begins
IDENTITY_REFUSES = "identity transformer tried to read encrypted data"


class NotAnObject(ValueError):
    """The value is no JSON object of ours; somebody else wrote it."""


class Unreadable(NotAnObject):
    """The value is encrypted, and cannot be decrypted."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key, self.why = key, why

    def in_list(self) -> Unreadable:
        """The error as lists show it, which must say whose it is."""
        return Unreadable(self.key, f'unable to transform key "{self.key}": {self.why}')


class Sealed(bytes):
    """Stands for an encrypted value that could not be decrypted."""

    why: str

    def __new__(cls, why: str) -> Sealed:
        found = super().__new__(cls, SEALED)
        found.why = why
        return found


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Metadata


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Placed(msgspec.Struct):
    spec: _Spec


_read_labels = msgspec.json.Decoder(_Labelled).decode
_read_node = msgspec.json.Decoder(_Placed).decode
_NO_LABELS: Mapping[str, str] = {}


class Stored:
    """One object at one revision.

    What it decodes to is not kept: it is five times as large as the bytes, and a cache holds very many of these.
    """

    __slots__ = ("_fields", "_labels", "_node_name", "_versions", "head", "key", "revision", "tail")

    def __init__(self, key: str, revision: int, head: bytes, tail: bytes) -> None:
        self.key = key
        self.revision = revision
        self.head = head  # `{"kind":"Pod","apiVersion":"v1",`
        self.tail = tail  # `"metadata":{"resourceVersion":"17",…}`
        self._labels: Mapping[str, str] | None = None
        self._fields: dict[str, str] | None = None
        self._node_name: str | None = None
        self._versions: dict[Hashable, Stored] | None = None

    @property
    def json(self) -> bytes:
        """The object as it goes to clients: JSON with its `resourceVersion`."""
        return self.head + self.tail

    @property
    def value(self) -> bytes:
        """The object as it lies in etcd: without `resourceVersion`."""
        return self.head + _METADATA + self.tail[_after_version(self.revision, self.tail) :]

    @property
    def obj(self) -> Object:
        """The object with its `resourceVersion`, decoded anew: ask once."""
        return self.decode()

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key[self.key.rindex("/") + 1 :]

    def decode(self) -> Object:
        """A copy of the object that the caller may change."""
        fresh: Object = orjson.loads(self.head + self.tail)
        return fresh

    @property
    def labels(self) -> Mapping[str, str]:
        """The object's labels, read without decoding the rest."""
        if self._labels is None:
            self._labels = self._find_labels()
        return self._labels

    @property
    def node_name(self) -> str:
        """`spec.nodeName`, or nothing; read without decoding the rest."""
        if self._node_name is None:
            try:
                self._node_name = _read_node(self.head + self.tail).spec.nodeName
            except msgspec.MsgspecError:
                self._node_name = ""  # no spec, or one without such a field
        return self._node_name

    def fields(self, getters: Mapping[str, FieldGetter]) -> Mapping[str, str]:
        """The selectable fields as text; the object is decoded for the first question and let go again."""
        found = self._fields
        if found is None or not getters.keys() <= found.keys():
            obj = self.decode()
            found = self._fields = {name: getter(obj) for name, getter in getters.items()}
        return found

    def in_version(self, convert: Callable[[Object], Object]) -> Stored:
        """The same object in another version; converted once by each function: schemas change."""
        found = self.shown_as(convert)
        if found is None:
            found = stored(self.key, self.revision, encode(convert(self.decode())))
            self.show_as(convert, found)
        return found

    def shown_as(self, mark: Hashable) -> Stored | None:
        """What `show_as` remembered."""
        return self._versions.get(mark) if self._versions is not None else None

    def show_as(self, mark: Hashable, shown: Stored) -> None:
        """Remember how the object looks elsewhere, for those who cannot convert it at once."""
        if self._versions is None or len(self._versions) >= _MOST_VERSIONS:
            self._versions = {}
        self._versions[mark] = shown

    def at(self, revision: int) -> Stored:
        """The same object under another revision, as the last state of a deleted object needs it."""
        rest = self.tail[_after_version(self.revision, self.tail) :]
        return Stored(self.key, revision, self.head, _stamped(rest, revision))

    def same_content(self, value: bytes) -> bool:
        """Would keeping this value change nothing?"""
        mine = self.value
        if mine == value:
            return True
        # Another order of keys has the same length, so that most differences show without decoding.
        return len(mine) == len(value) and bool(orjson.loads(mine) == orjson.loads(value))

    def _find_labels(self) -> Mapping[str, str]:
        try:
            return _read_labels(self.head + self.tail).metadata.labels or _NO_LABELS
        except msgspec.MsgspecError:
            return self.obj["metadata"].get("labels") or _NO_LABELS

    def __repr__(self) -> str:
        return f"<{self.key} at {self.revision}>"


def encode(obj: Object) -> bytes:
    """The value that is kept in etcd for an object."""
    ordered: dict[str, Any] = {"kind": obj.get("kind", ""), "apiVersion": obj.get("apiVersion", "")}
    metadata = obj.get("metadata") or {}
    if "resourceVersion" in metadata:
        metadata = {name: value for name, value in metadata.items() if name != "resourceVersion"}
    ordered["metadata"] = metadata
    for name, value in obj.items():
        if name not in ordered:
            ordered[name] = value
    return orjson.dumps(ordered)


def stored(key: str, revision: int, value: bytes) -> Stored:
    """A value of etcd as an object. Raises NotAnObject, which Unreadable is one of."""
    at = value.find(_METADATA, 0, _LONGEST_HEAD)
    head = _heads.get(value[:at]) if at > 0 else None
    if head is None:
        if at < 0 or _HEAD.fullmatch(value, 0, at) is None:
            return _reordered(key, revision, value)
        head = value[:at]
        _heads[head] = head
    return Stored(key, revision, head, _stamped(value[at + len(_METADATA) :], revision))


def _reordered(key: str, revision: int, value: bytes) -> Stored:
    """Somebody wrote the object by hand, with its fields in another order; or it is encrypted."""
    if value.startswith(SEALED):
        raise Unreadable(key, value.why if isinstance(value, Sealed) else IDENTITY_REFUSES)
    try:
        obj = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise NotAnObject(key) from None
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        raise NotAnObject(key)
    if not (isinstance(obj.get("kind"), str) and isinstance(obj.get("apiVersion"), str)):
        raise NotAnObject(key)
    fresh = encode(obj)
    at = fresh.index(_METADATA)
    return Stored(key, revision, fresh[:at], _stamped(fresh[at + len(_METADATA) :], revision))


def _stamped(rest: bytes, revision: int) -> bytes:
    """Splice the revision in; `rest` is what follows `"metadata":{`."""
    return (_VERSION % revision) + (rest if rest[:1] == b"}" else b"," + rest)


def _after_version(revision: int, tail: bytes) -> int:
    """Where the metadata goes on behind the spliced-in revision."""
    at = _VERSION_AT + len(str(revision)) + 1
    return at + 1 if tail[at : at + 1] == b"," else at
