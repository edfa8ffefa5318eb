"""The door to etcd for a server that encrypts: what goes in is sealed, what comes out is opened.

    get, range, watch   ─▶ opened; what cannot be opened comes as `Sealed`, which says why
    create, put_if      ─▶ sealed

Keys whose resource no rule names pass untouched.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import cast

from apiserver.storage.encryption.ciphers import CannotOpen, Choice
from apiserver.storage.encryption.kms import SeedNeeded
from apiserver.storage.encryption.transformers import Encryption
from apiserver.storage.etcd_client import EtcdClient, EtcdTLS
from apiserver.storage.etcd_messages import Answer, Event, KeyValue, Outcome
from apiserver.storage.family import ROOT, family_of
from apiserver.storage.metrics import resource_of
from apiserver.storage.stored import Sealed
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)


class EncryptingClient(EtcdClient):
    """An EtcdClient that nobody else in the house can tell from one."""

    def __init__(
        self,
        endpoints: Sequence[str],
        tls: EtcdTLS | None,
        clock: Clock | None,
        encryption: Encryption,
    ) -> None:
        super().__init__(endpoints, tls, clock)
        self._encryption = encryption
        self._generation = encryption.generation
        self._choices: dict[str, Choice | None] = {}  # by family
        self._marks: dict[
            str, str
        ] = {}  # with which each key was last seen to be sealed; without: not at all

    def is_outdated(self, key: str) -> bool:
        """Would the value be sealed in another way today?"""
        choice = self._choice(key)
        return choice is not None and self._marks.get(key, "") != choice.mark

    # -------------------------------------------------------------------------------------------------- reading

    async def get(self, key: str, revision: int = 0) -> tuple[KeyValue | None, int]:
        found, now = await super().get(key, revision)
        return (await self._opened(found) if found is not None else None), now

    async def range(
        self, prefix: str, *, start_key: str = "", limit: int = 0, revision: int = 0, keys_only: bool = False
    ) -> Answer:
        answer = await super().range(
            prefix, start_key=start_key, limit=limit, revision=revision, keys_only=keys_only
        )
        return answer if keys_only else answer._replace(items=[await self._opened(kv) for kv in answer.items])

    async def watch(
        self, prefix: str, after_revision: int, *, previous: bool = False
    ) -> AsyncIterator[Sequence[Event]]:
        inner = cast(
            AsyncGenerator[Sequence[Event]], super().watch(prefix, after_revision, previous=previous)
        )
        async with contextlib.aclosing(inner):
            async for events in inner:
                yield [await self._opened_event(event) for event in events]

    # -------------------------------------------------------------------------------------------------- writing

    async def create(self, key: str, value: bytes, lease: int = 0) -> Outcome:
        sealed, mark = self._sealed(key, value)
        return await self._after(key, mark, await super().create(key, sealed, lease))

    async def put_if(self, key: str, value: bytes, revision: int, lease: int = 0) -> Outcome:
        sealed, mark = self._sealed(key, value)
        return await self._after(key, mark, await super().put_if(key, sealed, revision, lease))

    async def delete_if(self, key: str, revision: int) -> Outcome:
        return await self._after(key, "", await super().delete_if(key, revision))

    async def _after(self, key: str, mark: str, outcome: Outcome) -> Outcome:
        if outcome.succeeded:
            self._note(key, mark)
        current = await self._opened(outcome.current) if outcome.current is not None else None
        return outcome._replace(current=current)

    # --------------------------------------------------------------------------------------------------- values

    def _sealed(self, key: str, value: bytes) -> tuple[bytes, str]:
        choice = self._choice(key)
        return (value, "") if choice is None else (choice.seal(value, key.encode()), choice.mark)

    async def _opened_event(self, event: Event) -> Event:
        if self._choice(event.key) is None:
            return event
        value = None
        if event.value is None:
            self._note(event.key, "")
        else:
            value = (await self._opened(KeyValue(event.key, event.value, event.revision))).value
        previous = event.previous
        if previous is not None:
            previous = (await self._open(self._choice(event.key), previous))[0]
        return Event(event.key, event.revision, value, previous)

    async def _opened(self, kv: KeyValue) -> KeyValue:
        choice = self._choice(kv.key)
        if choice is None:
            return kv
        opened, mark = await self._open(choice, kv)
        self._note(kv.key, mark)
        return opened

    async def _open(self, choice: Choice | None, kv: KeyValue) -> tuple[KeyValue, str]:
        if choice is None:
            return kv, ""
        at = kv.key.encode()
        try:
            while True:
                try:
                    value, mark = choice.open(kv.value, at)
                    return KeyValue(kv.key, value, kv.revision), mark
                except SeedNeeded as needed:
                    await needed.kms.learn(needed.envelope)
        except CannotOpen as error:
            log.debug("%s cannot be decrypted: %s", kv.key, error)
            return KeyValue(kv.key, Sealed(str(error)), kv.revision), "?"

    def _note(self, key: str, mark: str) -> None:
        if mark:
            self._marks[key] = mark
        else:
            self._marks.pop(key, None)

    def _choice(self, key: str) -> Choice | None:
        if self._generation != self._encryption.generation:
            self._generation = self._encryption.generation
            self._choices = {}
        family = family_of(key)
        try:
            return self._choices[family]
        except KeyError:
            # What lies directly in the root is no object: the marker of the compaction, say.
            found = None if family == ROOT else self._encryption.current.of(*resource_of(key))
            self._choices[family] = found
            return found
