"""An object as bytes, in the form that the client wants: itself, its metadata only, or a row of a table.

A form is made for each request and answers the same few questions; GET, LIST, WATCH and the writes are written
against it. The plain form copies bytes that storage keeps; the other forms look into the object.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

import msgspec
import orjson

from apiserver.endpoints.negotiation import PARTIAL, PARTIAL_LIST, TABLE, Accepted
from apiserver.endpoints.server import Endpoints
from apiserver.endpoints.table import Table, include_of
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.strategy import Strategy
from apiserver.request import RequestContext
from apiserver.storage.interface import Stored
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object


class Form(Protocol):
    """How to show objects of one resource."""

    @property
    def key(self) -> Hashable:
        """Equal for forms that give equal bytes, so that watchers can share them; None: not to be shared."""
        ...

    def one(self, stored: Stored) -> bytes:
        """A whole answer with one object."""
        ...

    def list_head(self, metadata: Object) -> bytes:
        """A list up to its first item."""
        ...

    def items(self, found: Sequence[Stored]) -> tuple[Sequence[bytes], bytes, bytes]:
        """The items of a list, what stands before the first and what between two of them."""
        ...

    def event(self, stored: Stored) -> bytes:
        """The object of a watch event."""
        ...

    def bookmark(self, metadata: Object) -> bytes:
        """The object of a bookmark."""
        ...


LIST_TAIL = b"]}\n"


class PlainForm:
    """The object itself."""

    def __init__(self, row: Resource) -> None:
        self._row = row
        self.key = row.api_version if row.from_storage is not None else ""

    def one(self, stored: Stored) -> bytes:
        return self._shown(stored).json + b"\n"

    def list_head(self, metadata: Object) -> bytes:
        row = self._row
        if row.custom is not None:
            metadata = {"continue": "", **metadata}  # lists without a type say so even at their end
        head = {"kind": f"{row.kind}List", "apiVersion": row.api_version, "metadata": metadata}
        return orjson.dumps(head)[:-1] + b',"items":['

    def items(self, found: Sequence[Stored]) -> tuple[Sequence[bytes], bytes, bytes]:
        row = self._row
        if row.from_storage is not None:
            found = [self._shown(stored) for stored in found]
        if row.custom is not None:
            # Items of typed lists do not repeat kind and version, those of custom resources do.
            head = found[0].head if found else b"{"
            if any(stored.head != head for stored in found):
                return [stored.json for stored in found], b"", b","
            return [stored.tail for stored in found], head, b"," + head
        return [stored.tail for stored in found], b"{", b",{"

    def event(self, stored: Stored) -> bytes:
        return self._shown(stored).json

    def bookmark(self, metadata: Object) -> bytes:
        return orjson.dumps(
            {"kind": self._row.kind, "apiVersion": self._row.api_version, "metadata": metadata}
        )

    def _shown(self, stored: Stored) -> Stored:
        row = self._row
        if row.from_storage is None or not isinstance(stored, Stored):
            return stored
        return stored.in_version(row.from_storage)


class _WithMetadata(msgspec.Struct):
    metadata: msgspec.Raw


_metadata_in = msgspec.json.Decoder(_WithMetadata).decode


class MetadataForm:
    """`PartialObjectMetadata`: what informers want that only look at names, labels and owners."""

    def __init__(self, version: str) -> None:
        self.key = ("PartialObjectMetadata", version)
        self._api_version = f"meta.k8s.io/{version}"
        self._head = (
            b'{"kind":"PartialObjectMetadata","apiVersion":"%s","metadata":' % self._api_version.encode()
        )

    def one(self, stored: Stored) -> bytes:
        return self.event(stored) + b"\n"

    def list_head(self, metadata: Object) -> bytes:
        head = {"kind": PARTIAL_LIST, "apiVersion": self._api_version, "metadata": metadata}
        return orjson.dumps(head)[:-1] + b',"items":['

    def items(self, found: Sequence[Stored]) -> tuple[Sequence[bytes], bytes, bytes]:
        return [self.event(stored) for stored in found], b"", b","

    def event(self, stored: Stored) -> bytes:
        return self._head + bytes(_metadata_in(stored.json).metadata) + b"}"

    def bookmark(self, metadata: Object) -> bytes:
        return self._head + orjson.dumps(metadata) + b"}"


class TableForm:
    """`Table`: what `kubectl get` prints."""

    def __init__(self, table: Table, row: Resource) -> None:
        self._table = table
        self._plain = PlainForm(row)
        self._order = row.strategy.row_order
        self.key = None  # the first event of each watch names the columns
        self._columns_named = False

    def one(self, stored: Stored) -> bytes:
        metadata = {"resourceVersion": str(stored.revision)} if stored.revision else {}
        return self._table.head(metadata) + self._row(stored) + LIST_TAIL

    def list_head(self, metadata: Object) -> bytes:
        return self._table.head(metadata)

    def items(self, found: Sequence[Stored]) -> tuple[Sequence[bytes], bytes, bytes]:
        order = self._order
        if order is not None:
            found = sorted(found, key=lambda stored: order(stored.obj))
        return [self._row(stored) for stored in found], b"", b","

    def event(self, stored: Stored) -> bytes:
        named, self._columns_named = self._columns_named, True
        metadata = {"resourceVersion": str(stored.revision)}
        return self._table.head(metadata, columns=not named) + self._row(stored) + b"]}"

    def bookmark(self, metadata: Object) -> bytes:
        return self._table.head(metadata, columns=False) + b"]}"

    def _row(self, stored: Stored) -> bytes:
        shown = orjson.loads(self._plain.event(stored)) if isinstance(stored, Stored) else stored.obj
        return self._table.row(shown)


def form_of(
    endpoints: Endpoints,
    accepted: Accepted,
    row: Resource,
    context: RequestContext,
    *,
    of_list: bool = False,
    stream: bool = False,
) -> Form:
    """The form for a request. Raises NotAcceptable."""
    if not accepted.transform:
        return PlainForm(row)
    if accepted.transform == TABLE:
        table = table_of(endpoints, row.strategy, accepted, context)
        return TableForm(table, row)
    if of_list is not (accepted.transform == PARTIAL_LIST) and not stream:
        what = f"a list ({_go_type(row)}List)" if of_list else f"not a list ({_go_type(row)})"
        raise errors.NotAcceptable(f"you requested {accepted.transform}, but the requested object is {what}")
    return MetadataForm(accepted.version)


def _go_type(row: Resource) -> str:
    """What upstream calls a kind inside, where its messages say so."""
    if row.custom is not None:
        return "*unstructured.Unstructured"
    group = row.group.partition(".")[0]
    return f"*{'core' if group in ('', 'events') else group}.{row.kind}"


def view_of(
    endpoints: Endpoints,
    accepted: Accepted,
    subresource: Subresource,
    context: RequestContext,
    obj: Object,
) -> bytes:
    """A window on an object (`Scale`), in the form that the client wants."""
    if accepted.transform == TABLE and subresource.columns:
        table = table_of(endpoints, Strategy(columns=subresource.columns), accepted, context)
        head = table.head({"resourceVersion": obj["metadata"]["resourceVersion"]})
        return head + table.row(obj) + LIST_TAIL
    if accepted.transform:
        obj = {"kind": PARTIAL, "apiVersion": f"meta.k8s.io/{accepted.version}", "metadata": obj["metadata"]}
    return orjson.dumps(obj) + b"\n"


def table_of(endpoints: Endpoints, strategy: Strategy, accepted: Accepted, context: RequestContext) -> Table:
    """The table for a request."""
    describe = endpoints.schemas.description
    return Table(strategy, accepted.version, include_of(context.query), context.clock, describe)
