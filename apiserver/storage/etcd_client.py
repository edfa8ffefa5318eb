"""The door to etcd: range, transaction, watch, lease, compact and status over gRPC.

Every endpoint has two channels, because a large range would starve a watch on the same connection (etcd issue 15402).
When an endpoint does not answer, reads are tried at the next one; writes are not repeated, because nobody knows whether
they happened, but the next write goes elsewhere. A watch resumes by itself behind the last change it has handed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc

from apiserver.storage.interface import RevisionCompacted, StorageRefused, StorageUnavailable
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

REQUEST_TIMEOUT = 10.0  # seconds
_BACKOFF = Backoff(initial=0.05, maximum=1.0)
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
]
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})
_NOBODYS = "/registry/\0"  # no key begins like this
_COMPACTED = "required revision has been compacted"
_METHODS: dict[str, tuple[Any, Any]] = {
    "KV/Range": (rpc.RangeRequest, rpc.RangeResponse),
    "KV/Txn": (rpc.TxnRequest, rpc.TxnResponse),
    "KV/Compact": (rpc.CompactionRequest, rpc.CompactionResponse),
    "Lease/LeaseGrant": (rpc.LeaseGrantRequest, rpc.LeaseGrantResponse),
    "Lease/LeaseRevoke": (rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse),
    "Maintenance/Status": (rpc.StatusRequest, rpc.StatusResponse),
}


@dataclass(frozen=True, slots=True)
class EtcdTLS:
    """What it takes to speak TLS with etcd: names of PEM files."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key, its value, and the revision of its last change."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a range found. `count` is the number of keys without the limit."""

    items: Sequence[KeyValue]
    revision: int
    more: bool
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did. `current` is the state that made it fail, `previous` what was deleted; if any."""

    succeeded: bool
    revision: int
    current: KeyValue | None = None
    previous: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A key changed; `value` is None when it was deleted."""

    key: str
    revision: int
    value: bytes | None
    previous: KeyValue | None = None


@dataclass(slots=True)
class _Endpoint:
    address: str
    calls: dict[str, Callable[..., Any]]
    watch: Callable[..., Any]
    channels: Sequence[Any] = field(default_factory=tuple)


class EtcdClient:
    """One cluster of etcd. Make it inside a running loop, close it at the end."""

    def __init__(
        self, endpoints: Sequence[str], tls: EtcdTLS | None = None, clock: Clock | None = None
    ) -> None:
        self._endpoints = [_connect(endpoint, tls) for endpoint in endpoints]
        self._at = 0
        self._clock = clock or RealClock()

    async def close(self) -> None:
        """Hang up."""
        for endpoint in self._endpoints:
            for channel in endpoint.channels:
                await channel.close()

    # ----------------------------------------------------------------------------------------------- reading

    async def get(self, key: str, revision: int = 0) -> tuple[KeyValue | None, int]:
        """The state of a key, and etcd's revision at that moment."""
        answer = await self._read("KV/Range", rpc.RangeRequest(key=key.encode(), revision=revision))
        return (_key_value(answer.kvs[0]) if answer.kvs else None), answer.header.revision

    async def range(
        self, prefix: str, *, start_key: str = "", limit: int = 0, revision: int = 0, keys_only: bool = False
    ) -> Answer:
        """Keys that start with a prefix, in order, from `start_key` on. Raises RevisionCompacted."""
        request = rpc.RangeRequest(
            key=(start_key or prefix).encode(),
            range_end=end_of(prefix),
            limit=limit,
            revision=revision,
            keys_only=keys_only,
        )
        answer = await self._read("KV/Range", request)
        return Answer(
            [_key_value(kv) for kv in answer.kvs], answer.header.revision, answer.more, answer.count
        )

    async def quiet_since(self, prefix: str, revision: int, count: int) -> int:
        """The newest revision, if below the prefix nothing happened since a revision with `count` keys; else 0.

        No key was changed later, and none is missing: this proves it without the events of foreign keys. etcd looks
        at every key for it, so that it is not for every request.
        """
        request = rpc.RangeRequest(
            key=prefix.encode(),
            range_end=end_of(prefix),
            min_mod_revision=revision + 1,
            limit=1,
            keys_only=True,
        )
        answer = await self._read("KV/Range", request)
        return 0 if answer.kvs or answer.count != count else int(answer.header.revision)

    async def revision(self) -> int:
        """The newest revision, agreed upon by the cluster."""
        answer = await self._read("KV/Range", _PROBE)
        return int(answer.header.revision)

    async def status(self) -> Any:
        """Version and size of the endpoint in use: `version`, `dbSize`, `header.revision`."""
        return await self._read("Maintenance/Status", rpc.StatusRequest())

    def is_outdated(self, key: str) -> bool:
        """Does the value lie in etcd in another way than it would be written today?"""
        return False

    # ----------------------------------------------------------------------------------------------- writing

    async def create(self, key: str, value: bytes, lease: int = 0) -> Outcome:
        """Put a key that does not exist."""
        return await self._swap(key, 0, rpc.RequestOp(request_put=_put(key, value, lease)))

    async def put_if(self, key: str, value: bytes, revision: int, lease: int = 0) -> Outcome:
        """Put a key whose last change was at a revision."""
        return await self._swap(key, revision, rpc.RequestOp(request_put=_put(key, value, lease)))

    async def delete_if(self, key: str, revision: int) -> Outcome:
        """Delete a key whose last change was at a revision."""
        delete = rpc.DeleteRangeRequest(key=key.encode(), prev_kv=True)
        return await self._swap(key, revision, rpc.RequestOp(request_delete_range=delete))

    async def put_together_if(self, values: dict[str, bytes], key: str, revision: int) -> Outcome:
        """Put several keys in one revision, if one of them was last changed at a revision."""
        request = rpc.TxnRequest(
            compare=[_unchanged(key, revision)],
            success=[rpc.RequestOp(request_put=_put(at, value, 0)) for at, value in values.items()],
            failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))],
        )
        return await self._transact(request)

    async def grant(self, seconds: int) -> int:
        """A lease: keys put under it go after that many seconds."""
        answer = await self._write("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=seconds))
        return int(answer.ID)

    async def compact(self, revision: int) -> None:
        """Forget what was before a revision. That it is forgotten already is no error."""
        try:
            await self._write("KV/Compact", rpc.CompactionRequest(revision=revision))
        except RevisionCompacted:
            return

    async def _swap(self, key: str, revision: int, operation: Any) -> Outcome:
        request = rpc.TxnRequest(
            compare=[_unchanged(key, revision)],
            success=[operation],
            failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))],
        )
        return await self._transact(request)

    async def _transact(self, request: Any) -> Outcome:
        answer = await self._write("KV/Txn", request)
        revision = answer.header.revision
        first = answer.responses[0]
        if not answer.succeeded:
            found = first.response_range.kvs
            return Outcome(False, revision, current=_key_value(found[0]) if found else None)
        deleted = first.response_delete_range.prev_kvs
        return Outcome(True, revision, previous=_key_value(deleted[0]) if deleted else None)

    # ---------------------------------------------------------------------------------------------- watching

    async def watch(
        self, prefix: str, after_revision: int, *, previous: bool = False
    ) -> AsyncIterator[Sequence[Event]]:
        """Changes below a prefix after a revision, for ever, all of one revision in one batch.

        Raises RevisionCompacted when changes have been forgotten before they could be handed out, and when etcd is
        suddenly younger than we are (somebody restored a backup): then what we know is not its past.
        """
        attempt = 0
        while True:
            try:
                async for events in self._watch_once(prefix, after_revision, previous):
                    attempt = 0
                    yield events
                    after_revision = events[-1].revision
            except grpc.aio.AioRpcError as error:
                log.warning("watch of etcd at %s broke off: %s", self._here.address, error.details())
            self._go_on()
            await self._clock.sleep(_BACKOFF.delay(attempt))
            attempt += 1

    async def oldest_revision(self) -> int:
        """The oldest revision that etcd can list; 0 if it does not say. Only a watch from long ago learns this."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                async for _ in self._watch_once(_NOBODYS, 0, False):
                    return 0
        except RevisionCompacted as error:
            return error.oldest
        except (TimeoutError, grpc.aio.AioRpcError) as error:
            log.warning("etcd at %s does not say what it has forgotten: %s", self._here.address, error)
        return 0

    async def _watch_once(self, prefix: str, after: int, previous: bool) -> AsyncIterator[Sequence[Event]]:
        create = rpc.WatchCreateRequest(
            key=prefix.encode(), range_end=end_of(prefix), start_revision=after + 1, prev_kv=previous
        )
        call = self._here.watch(wait_for_ready=False)
        try:
            await call.write(rpc.WatchRequest(create_request=create))
            while (answer := await call.read()) is not grpc.aio.EOF:
                if answer.created and answer.header.revision < after:
                    log.warning("etcd is at revision %d, we are at %d", answer.header.revision, after)
                    raise RevisionCompacted(answer.header.revision)
                if answer.canceled:
                    if answer.compact_revision:
                        raise RevisionCompacted(answer.header.revision, answer.compact_revision)
                    log.warning("etcd ended the watch: %s", answer.cancel_reason)
                    return
                if answer.events:
                    yield [_event(event) for event in answer.events]
        finally:
            call.cancel()

    # --------------------------------------------------------------------------------------------- endpoints

    @property
    def _here(self) -> _Endpoint:
        return self._endpoints[self._at]

    def _go_on(self) -> None:
        self._at = (self._at + 1) % len(self._endpoints)

    async def _read(self, method: str, request: Any) -> Any:
        """Ask each endpoint once before giving up."""
        for attempt in range(len(self._endpoints)):
            try:
                return await self._here.calls[method](request, timeout=REQUEST_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                failure = self._understand(error)
                if attempt == len(self._endpoints) - 1 or not isinstance(failure, StorageUnavailable):
                    raise failure from error
        raise StorageUnavailable("no etcd endpoint")

    async def _write(self, method: str, request: Any) -> Any:
        try:
            return await self._here.calls[method](request, timeout=REQUEST_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise self._understand(error) from error

    def _understand(self, error: Any) -> Exception:
        if _COMPACTED in (error.details() or ""):
            return RevisionCompacted()
        if error.code() in _REFUSED:
            return StorageRefused(error.details())
        if error.code() in _AWAY:
            self._go_on()
        return StorageUnavailable(f"etcd: {error.code().name}: {error.details()}")


def end_of(prefix: str) -> bytes:
    """The first key behind all keys with a prefix."""
    raw = bytearray(prefix.encode())
    raw[-1] += 1
    return bytes(raw)


def _connect(url: str, tls: EtcdTLS | None) -> _Endpoint:
    scheme, _, address = url.rpartition("://")
    if scheme == "unix":
        address = f"unix:{address}"
    channels = []
    for _ in range(2):
        if scheme in ("https", "unixs"):
            tls = tls or EtcdTLS()
            credentials = grpc.ssl_channel_credentials(
                _content(tls.ca_file), _content(tls.key_file), _content(tls.cert_file)
            )
            channels.append(grpc.aio.secure_channel(address, credentials, options=_OPTIONS))
        else:
            channels.append(grpc.aio.insecure_channel(address, options=_OPTIONS))
    calls = {
        method: channels[0].unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        for method, (request, response) in _METHODS.items()
    }
    watch = channels[1].stream_stream(
        "/etcdserverpb.Watch/Watch",
        request_serializer=rpc.WatchRequest.SerializeToString,
        response_deserializer=rpc.WatchResponse.FromString,
    )
    return _Endpoint(address, calls, watch, channels)


def _content(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _put(key: str, value: bytes, lease: int) -> Any:
    return rpc.PutRequest(key=key.encode(), value=value, lease=lease)


def _unchanged(key: str, revision: int) -> Any:
    """The key's last change was at the revision; 0: it does not exist."""
    return rpc.Compare(
        result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=key.encode(), mod_revision=revision
    )


def _key_value(kv: Any) -> KeyValue:
    return KeyValue(kv.key.decode(), kv.value, kv.mod_revision)


def _event(event: Any) -> Event:
    kv = event.kv
    before = event.prev_kv
    return Event(
        kv.key.decode(),
        kv.mod_revision,
        kv.value if event.type == rpc.Event.PUT else None,
        _key_value(before) if before.mod_revision else None,
    )


_PROBE = rpc.RangeRequest(key=b"/registry/")  # a key that does not exist: only the header matters
