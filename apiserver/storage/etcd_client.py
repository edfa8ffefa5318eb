"""The door to etcd: range, transaction, watch, lease, compact and status over gRPC.

    etcd_messages.py   what is said      grpc_channel.py   how it is called      http2.py   how it travels

Every endpoint has two channels, because a large range would starve a watch on the same connection (etcd issue 15402).
When an endpoint does not answer, reads are tried at the next one; writes are not repeated, because nobody knows whether
they happened, but the next write goes elsewhere. A watch resumes by itself behind the last change it has handed out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from apiserver.storage import etcd_messages as messages
from apiserver.storage.etcd_messages import Answer, Event, KeyValue, Outcome
from apiserver.storage.interface import RevisionCompacted, StorageRefused, StorageUnavailable
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.grpc_channel import CallFailed, Channel

log = logging.get(__name__)

REQUEST_TIMEOUT = 10.0  # seconds
_BACKOFF = Backoff(initial=0.05, maximum=1.0)
_AWAY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN"})
_REFUSED = frozenset({"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"})
_NOBODYS = "/registry/\0"  # no key begins like this
_COMPACTED = "required revision has been compacted"
_RANGE, _TXN, _COMPACT = "etcdserverpb.KV/Range", "etcdserverpb.KV/Txn", "etcdserverpb.KV/Compact"
_GRANT, _STATUS = "etcdserverpb.Lease/LeaseGrant", "etcdserverpb.Maintenance/Status"
_WATCH = "etcdserverpb.Watch/Watch"


@dataclass(frozen=True, slots=True)
class EtcdTLS:
    """What it takes to speak TLS with etcd: names of PEM files."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def context(self) -> ssl.SSLContext:
        """The files, read."""
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class _Endpoint:
    """One member of the cluster."""

    def __init__(self, url: str, tls: EtcdTLS | None) -> None:
        context = tls.context() if tls is not None and url.partition("://")[0] in ("https", "unixs") else None
        self.calls, self.watches = Channel(url, context), Channel(url, context)

    @property
    def address(self) -> str:
        """Where it is."""
        return self.calls.address


class EtcdClient:
    """One cluster of etcd. Make it inside a running loop, close it at the end."""

    def __init__(
        self, endpoints: Sequence[str], tls: EtcdTLS | None = None, clock: Clock | None = None
    ) -> None:
        self._endpoints = [_Endpoint(url, tls) for url in endpoints]
        self._at = 0
        self._clock = clock or RealClock()

    async def close(self) -> None:
        """Hang up."""
        for endpoint in self._endpoints:
            endpoint.calls.close()
            endpoint.watches.close()

    # ----------------------------------------------------------------------------------------------- reading

    async def get(self, key: str, revision: int = 0) -> tuple[KeyValue | None, int]:
        """The state of a key, and etcd's revision at that moment."""
        answer = await self._range(messages.range_request(key, revision=revision))
        return (answer.items[0] if answer.items else None), answer.revision

    async def range(
        self, prefix: str, *, start_key: str = "", limit: int = 0, revision: int = 0, keys_only: bool = False
    ) -> Answer:
        """Keys that start with a prefix, in order, from `start_key` on. Raises RevisionCompacted."""
        return await self._range(
            messages.range_request(
                start_key or prefix, end_of(prefix), limit=limit, revision=revision, keys_only=keys_only
            )
        )

    async def quiet_since(self, prefix: str, revision: int, count: int) -> int:
        """The newest revision, if below the prefix nothing happened since a revision with `count` keys; else 0.

        No key was changed later, and none is missing: this proves it without the events of foreign keys. etcd looks
        at every key for it, so that it is not for every request.
        """
        request = messages.range_request(
            prefix, end_of(prefix), changed_after=revision, limit=1, keys_only=True
        )
        answer = await self._range(request)
        return 0 if answer.items or answer.total != count else answer.revision

    async def revision(self) -> int:
        """The newest revision, agreed upon by the cluster."""
        return (await self._range(_PROBE)).revision

    async def size(self) -> int:
        """How many bytes the file of the endpoint in use has."""
        return messages.read_size(await self._read(_STATUS, b""))

    def is_outdated(self, key: str) -> bool:
        """Does the value lie in etcd in another way than it would be written today?"""
        return False

    # ----------------------------------------------------------------------------------------------- writing

    async def create(self, key: str, value: bytes, lease: int = 0) -> Outcome:
        """Put a key that does not exist."""
        return await self._swap(key, 0, messages.put(key, value, lease))

    async def put_if(self, key: str, value: bytes, revision: int, lease: int = 0) -> Outcome:
        """Put a key whose last change was at a revision."""
        return await self._swap(key, revision, messages.put(key, value, lease))

    async def delete_if(self, key: str, revision: int) -> Outcome:
        """Delete a key whose last change was at a revision."""
        return await self._swap(key, revision, messages.delete(key))

    async def put_together_if(self, values: dict[str, bytes], key: str, revision: int) -> Outcome:
        """Put several keys in one revision, if one of them was last changed at a revision."""
        return await self._swap(key, revision, *(messages.put(at, value) for at, value in values.items()))

    async def grant(self, seconds: int) -> int:
        """A lease: keys put under it go after that many seconds."""
        return messages.read_lease(await self._write(_GRANT, messages.lease_request(seconds)))

    async def compact(self, revision: int) -> None:
        """Forget what was before a revision. That it is forgotten already is no error."""
        try:
            await self._write(_COMPACT, messages.compaction_request(revision))
        except RevisionCompacted:
            return

    async def _swap(self, key: str, revision: int, *operations: bytes) -> Outcome:
        return messages.read_transaction(
            await self._write(_TXN, messages.transaction(key, revision, operations))
        )

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
            except CallFailed as error:
                log.warning("watch of etcd at %s broke off: %s", self._here.address, error.details)
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
        except (TimeoutError, CallFailed) as error:
            log.warning("etcd at %s does not say what it has forgotten: %s", self._here.address, error)
        return 0

    async def _watch_once(self, prefix: str, after: int, previous: bool) -> AsyncGenerator[Sequence[Event]]:
        request = messages.watch_request(prefix, end_of(prefix), after + 1, previous)
        async with aclosing(self._here.watches.stream(_WATCH, request)) as stream:
            async for message in stream:
                answer = messages.read_watch(message)
                if answer.created and answer.revision < after:
                    log.warning("etcd is at revision %d, we are at %d", answer.revision, after)
                    raise RevisionCompacted(answer.revision)
                if answer.cancelled:
                    if answer.compacted:
                        raise RevisionCompacted(answer.revision, answer.compacted)
                    log.warning("etcd ended the watch: %s", answer.reason)
                    return
                if answer.events:
                    yield answer.events

    # --------------------------------------------------------------------------------------------- endpoints

    @property
    def _here(self) -> _Endpoint:
        return self._endpoints[self._at]

    def _go_on(self) -> None:
        self._at = (self._at + 1) % len(self._endpoints)

    async def _range(self, request: bytes) -> Answer:
        return messages.read_range(await self._read(_RANGE, request))

    async def _read(self, method: str, request: bytes) -> bytes:
        """Ask each endpoint once before giving up."""
        for attempt in range(len(self._endpoints)):
            try:
                return await self._here.calls.call(method, request, REQUEST_TIMEOUT)
            except CallFailed as error:
                failure = self._understand(error)
                if attempt == len(self._endpoints) - 1 or not isinstance(failure, StorageUnavailable):
                    raise failure from error
        raise StorageUnavailable("no etcd endpoint")

    async def _write(self, method: str, request: bytes) -> bytes:
        try:
            return await self._here.calls.call(method, request, REQUEST_TIMEOUT)
        except CallFailed as error:
            raise self._understand(error) from error

    def _understand(self, error: CallFailed) -> Exception:
        if _COMPACTED in error.details:
            return RevisionCompacted()
        if error.code in _REFUSED:
            return StorageRefused(error.details)
        if error.code in _AWAY:
            self._go_on()
        return StorageUnavailable(f"etcd: {error}")


def end_of(prefix: str) -> bytes:
    """The first key behind all keys with a prefix."""
    raw = bytearray(prefix.encode())
    raw[-1] += 1
    return bytes(raw)


_PROBE = messages.range_request("/registry/")  # a key that does not exist: only the header matters
