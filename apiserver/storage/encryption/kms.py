"""Keys that a key management service keeps: values are sealed with a seed, and the service seals the seed.

    Status ──▶ which key is it today? ──▶ another one than before: a new seed, Encrypt(seed) ──▶ kept with each value
    a value with a seed that is not known here ──▶ Decrypt ──▶ known from now on

Asked of the service is only what is new, so that it may be slow. While it does not answer, what is known can be read
for ever, and writes go on for three minutes.
Source: https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/
"""

from __future__ import annotations

import os
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from apiserver.storage.encryption import metrics
from apiserver.storage.encryption.ciphers import SEED, AesGcm, CannotOpen, Cipher, SeededAesGcm
from apiserver.storage.encryption.configuration import Kms
from apiserver.storage.interface import CannotSeal
from kubarium.apimachinery import names
from kubarium.apimachinery import time as times
from kubarium.component_base import logging, wire
from kubarium.component_base.clock import Clock
from kubarium.component_base.plugin_socket import PluginError, PluginSocket

log = logging.get(__name__)

MESSAGES = wire.load(Path(__file__).with_name("kms.proto"))
SERVICE = "v2.KeyManagementService"
VERSIONS = ("v2", "v2beta1")
PLAIN_KEY, SEEDED = 0, 1  # how what the service sealed is used
WRITING = 180.0  # seconds for which a seed may be used after the service has last been well
WELL_FOR, UNWELL_FOR = 20.0, 3.0  # seconds for which an answer to `check` is remembered
LOOK_WELL, LOOK_UNWELL = 60.0, 10.0  # seconds between two looks
MOST_SEEDS = 1000  # that are remembered
LONGEST_ID, LONGEST_SOURCE, LARGEST_ANNOTATIONS = 1024, 1024, 32 * 1024  # bytes


class KmsError(Exception):
    """The service is not well."""


class SeedNeeded(Exception):
    """The value can be opened once the service has been asked: `await kms.learn(envelope)`, and try again."""

    def __init__(self, kms: KmsCipher, envelope: Any) -> None:
        super().__init__()
        self.kms, self.envelope = kms, envelope


@dataclass(frozen=True)
class _Seed:
    """What values are sealed with now."""

    envelope: Any  # all but the value itself
    cipher: Cipher
    until: float  # by the monotonic clock


class KmsCipher:
    """A `Cipher` behind a service of one name."""

    def __init__(self, kms: Kms, server: str, clock: Clock) -> None:
        self.name = kms.name
        self._seconds = kms.seconds
        self._server, self._clock = server, clock
        self._socket = PluginSocket(kms.endpoint, MESSAGES, SERVICE)
        self._seed: _Seed | None = None
        self._known: OrderedDict[bytes, Cipher] = OrderedDict()
        self._version = ""
        self._answer: tuple[float, Exception | None] = (
            0.0,
            KmsError("not asked yet"),
        )  # until when, and what
        self._look_at = 0.0

    async def close(self) -> None:
        """Let go of the service."""
        await self._socket.close()

    # ---------------------------------------------------------------------------------------------------- values

    @property
    def mark(self) -> str:
        return self._seed.envelope.keyID if self._seed is not None else "?"

    def seal(self, value: bytes, at: bytes) -> bytes:
        seed = self._current()
        now = self._clock.monotonic()
        if now >= seed.until:
            wall = self._clock.now()
            expired = times.format_time(wall - timedelta(seconds=now - seed.until))
            text = f'EDEK with keyID hash "{metrics.hashed(seed.envelope.keyID)}" expired at {expired}'
            raise CannotSeal(f"{text} (current time is {times.format_time(wall)})")
        envelope = MESSAGES["EncryptedObject"]()
        envelope.CopyFrom(seed.envelope)
        envelope.encryptedData = seed.cipher.seal(value, at)
        self._count(metrics.TO_STORAGE, envelope.keyID)
        sealed: bytes = envelope.SerializeToString()
        return sealed

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        """As a `Cipher`; but raises SeedNeeded where the service must be asked."""
        try:
            envelope = MESSAGES["EncryptedObject"].FromString(sealed)
        except DecodeError as error:
            raise CannotOpen(f"proto: {error}") from None
        if (wrong := wrong_with(envelope)) is not None:
            raise CannotOpen(wrong)
        if self._seed is None:
            raise CannotOpen("got unexpected nil transformer")
        place = _place_of(envelope)
        cipher = self._known.get(place)
        if cipher is None:
            raise SeedNeeded(self, envelope)
        self._known.move_to_end(place)
        self._count(metrics.FROM_STORAGE, envelope.keyID)
        return cipher.open(envelope.encryptedData, at)[0], envelope.keyID

    async def learn(self, envelope: Any) -> None:
        """Ask the service for what a value was sealed with. Raises CannotOpen."""
        metrics.MISSES.add()
        try:
            answer = await self._call(
                "Decrypt",
                ciphertext=envelope.encryptedDEKSource,
                uid=str(uuid.uuid4()),
                key_id=envelope.keyID,
                annotations=dict(envelope.annotations),
            )
        except PluginError as error:
            raise CannotOpen(f"failed to decrypt DEK, error: {error}") from error
        self._remember(envelope, answer.plaintext)

    def _remember(self, envelope: Any, key: bytes) -> Cipher:
        try:
            cipher = SeededAesGcm(key) if envelope.encryptedDEKSourceType == SEEDED else AesGcm(key)
        except ValueError:
            raise CannotOpen(f"crypto/aes: invalid key size {len(key)}") from None
        self._known[_place_of(envelope)] = cipher
        while len(self._known) > MOST_SEEDS:
            self._known.popitem(last=False)
        return cipher

    def _current(self) -> _Seed:
        if self._seed is None:
            raise CannotSeal("got unexpected nil transformer")
        return self._seed

    def _count(self, kind: str, key_id: str) -> None:
        metrics.KEY_IDS.add((metrics.hashed(self._server), metrics.hashed(key_id), self.name, kind))

    # ------------------------------------------------------------------------------------------------ the service

    async def check(self) -> None:
        """Is the service well? A new seed is made if it says that its key is another one. Raises KmsError."""
        now = self._clock.monotonic()
        until, failure = self._answer
        if now >= until:
            try:
                await self._look()
                failure = None
            except KmsError as error:
                failure = error
            self._answer = now + (WELL_FOR if failure is None else UNWELL_FOR), failure
        if failure is not None:
            raise failure

    async def look_if_due(self) -> None:
        """Look at the service now and then, whether or not somebody asks for its health."""
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        try:
            await self.check()
            self._look_at = now + LOOK_WELL
        except KmsError as error:
            log.warning("the key management service %s failed its health check: %s", self.name, error)
            self._look_at = now + LOOK_UNWELL

    async def _look(self) -> None:
        try:
            status = await self._call("Status")
        except PluginError as error:
            text = f"failed to perform status section of the healthz check for KMS Provider {self.name}"
            raise KmsError(f"{text}, error: {error}") from error
        problems = [*self._status_problems(status)]
        if (wrong := _wrong_key_id(status.key_id)) is not None:
            metrics.INVALID_KEY_IDS.add(("too_long" if status.key_id else "empty", self.name))
            problems.append(f'got invalid KMSv2 KeyID hash "{metrics.hashed(status.key_id)}": {wrong}')
        else:
            metrics.note_status(self._server, status.key_id, self.name, self._clock.now())
            try:
                await self._renew(status.key_id)
            except KmsError as error:
                problems.append(str(error))
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise KmsError(f"kmsv2 Provider {self.name} is not healthy, error: {text}")

    def _status_problems(self, status: Any) -> list[str]:
        found = []
        if status.healthz != "ok":
            found.append(f"got unexpected healthz status: {status.healthz}")
        if status.version not in VERSIONS:
            found.append(f"expected KMSv2 API version v2, got {status.version}")
        else:
            self._version = self._version or status.version
            if self._version != status.version:
                text = "KMSv2 API version should not change after the initial status response version"
                found.append(f"{text} {self._version}, got {status.version}")
        return found

    async def _renew(self, key_id: str) -> None:
        """Go on with the seed, or make another one because the service's key has changed. Raises KmsError."""
        until = self._clock.monotonic() + WRITING  # counted from before the service was asked
        if self._seed is not None and self._seed.envelope.keyID == key_id:
            self._seed = _Seed(self._seed.envelope, self._seed.cipher, until)
            return
        seed, uid = os.urandom(SEED), str(uuid.uuid4())
        try:
            answer = await self._call("Encrypt", plaintext=seed, uid=uid)
        except PluginError as error:
            raise KmsError(
                f'failed to rotate DEK uid="{uid}", error: failed to encrypt DEK, error: {error}'
            ) from error
        envelope = MESSAGES["EncryptedObject"](
            keyID=answer.key_id,
            encryptedDEKSource=answer.ciphertext,
            annotations=dict(answer.annotations),
            encryptedDEKSourceType=SEEDED,
        )
        wrong = wrong_with(envelope, empty=True)
        if wrong is None and answer.key_id != key_id:
            wrong = "the service has changed its key between two questions"
        if wrong is not None:
            hashes = f'statusKeyIDHash="{metrics.hashed(key_id)}", encryptKeyIDHash="{metrics.hashed(answer.key_id)}"'
            raise KmsError(f'failed to rotate DEK uid="{uid}", errGen={wrong}, {hashes}')
        self._seed = _Seed(envelope, self._remember(envelope, seed), until)
        log.info("the key management service %s has a new key: %s", self.name, metrics.hashed(key_id))

    async def _call(self, method: str, **fields: Any) -> Any:
        began = time.perf_counter()
        failure: PluginError | None = None
        try:
            return await self._socket.call(method, deadline=self._seconds, **fields)
        except PluginError as error:
            failure = error
            raise
        finally:
            labels = (metrics.status_of(failure), f"/{SERVICE}/{method}", self.name)
            metrics.KMS_DURATIONS.observe(labels, time.perf_counter() - began)


def wrong_with(envelope: Any, empty: bool = False) -> str | None:
    """What is wrong with an envelope, in upstream's words; `empty`: the value is still to come."""
    if envelope.encryptedDEKSourceType not in (PLAIN_KEY, SEEDED):
        return f"unknown encryptedDEKSourceType: {envelope.encryptedDEKSourceType}"
    if not envelope.encryptedData and not empty:
        return "encrypted data is empty"
    source = len(envelope.encryptedDEKSource)
    if not source:
        return "failed to validate encrypted DEK source: encrypted DEK source is empty"
    if source > LONGEST_SOURCE:
        text = f"encrypted DEK source is {source} bytes, which exceeds the max size of {LONGEST_SOURCE}"
        return f"failed to validate encrypted DEK source: {text}"
    if (wrong := _wrong_key_id(envelope.keyID)) is not None:
        return f"failed to validate key id: {wrong}"
    if (wrong := _wrong_annotations(envelope.annotations)) is not None:
        return f"failed to validate annotations: {wrong}"
    return None


def _wrong_key_id(key_id: str) -> str | None:
    if not key_id:
        return "keyID is empty"
    if len(key_id) > LONGEST_ID:
        return f"keyID is {len(key_id)} bytes, which exceeds the max size of {LONGEST_ID}"
    return None


def _wrong_annotations(annotations: Mapping[str, bytes]) -> str | None:
    for key in annotations:
        if "." not in key or names.dns_subdomain_errors(key):
            text = "should be a domain with at least two segments separated by dots"
            return f'annotations: Invalid value: "{key}": {text}'
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > LARGEST_ANNOTATIONS:
        return f"total size of annotations is {size}, which exceeds the max size of {LARGEST_ANNOTATIONS}"
    return None


def _place_of(envelope: Any) -> bytes:
    """Tells seeds apart: everything that the service is told."""
    bare = MESSAGES["EncryptedObject"]()
    bare.CopyFrom(envelope)
    bare.encryptedData = b""
    place: bytes = bare.SerializeToString(deterministic=True)
    return place
