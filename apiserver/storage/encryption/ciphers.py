"""How a value becomes unreadable, and readable again.

    value in etcd    k8s:enc:aescbc:v1:  key1:  <16 bytes to begin with><blocks>
                     └ Choice of providers ┘└ Choice of keys ┘└ AesCbc ┘

A Choice writes with its first entry and reads with whichever entry fits.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from apiserver.storage.encryption import metrics
from apiserver.storage.interface import CannotSeal
from apiserver.storage.stored import IDENTITY_REFUSES, SEALED

BLOCK = 16  # bytes of AES
GCM_NONCE = 12
BOX_NONCE, BOX_TAG = 24, 16
SEED = 32  # bytes, and as many of what is mixed with it
_TOO_SHORT = "the stored data was shorter than the required size"


class CannotOpen(Exception):
    """The value was sealed with another key, or has been damaged."""


class Cipher(Protocol):
    """Seals and opens values; `at` is the key in etcd under which they lie."""

    @property
    def mark(self) -> str:
        """Of what is sealed from now on; what was sealed with another mark should be written again."""
        ...

    def seal(self, value: bytes, at: bytes) -> bytes:
        """Make unreadable. Raises CannotSeal."""
        ...

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        """Make readable; and the mark with which it was sealed. Raises CannotOpen."""
        ...


def mark_of(secret: bytes) -> str:
    """Tells keys apart without showing them."""
    return hashlib.sha256(secret).hexdigest()[:16]


class Identity:
    """Leaves everything as it is."""

    mark = ""

    def seal(self, value: bytes, at: bytes) -> bytes:
        return value

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        if sealed.startswith(SEALED):
            raise CannotOpen(IDENTITY_REFUSES)
        return sealed, ""


class AesCbc:
    """AES in CBC mode with PKCS#7 padding: unreadable, but whoever can write to etcd can damage it unnoticed."""

    def __init__(self, secret: bytes) -> None:
        self._key = AES(secret)
        self.mark = mark_of(secret)

    def seal(self, value: bytes, at: bytes) -> bytes:
        start = os.urandom(BLOCK)
        padder = padding.PKCS7(8 * BLOCK).padder()
        blocks = padder.update(value) + padder.finalize()
        encryptor = BlockCipher(self._key, CBC(start)).encryptor()
        return start + encryptor.update(blocks) + encryptor.finalize()

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        if len(sealed) < BLOCK:
            raise CannotOpen(_TOO_SHORT)
        if len(sealed) % BLOCK:
            raise CannotOpen("the stored data is not a multiple of the block size")
        decryptor = BlockCipher(self._key, CBC(sealed[:BLOCK])).decryptor()
        blocks = decryptor.update(sealed[BLOCK:]) + decryptor.finalize()
        if not blocks or not 0 < blocks[-1] <= len(blocks):
            raise CannotOpen("invalid PKCS7 data (empty or not padded)")
        size = blocks[-1]
        if blocks[-size:] != bytes([size]) * size:
            raise CannotOpen("invalid padding on input")
        return blocks[:-size], self.mark


class AesGcm:
    """AES in GCM mode: a value that was damaged, or moved to another key of etcd, cannot be opened."""

    def __init__(self, secret: bytes) -> None:
        self._key = AESGCM(secret)
        self.mark = mark_of(secret)

    def seal(self, value: bytes, at: bytes) -> bytes:
        nonce = os.urandom(GCM_NONCE)
        return nonce + self._key.encrypt(nonce, value, at)

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        if len(sealed) < GCM_NONCE:
            raise CannotOpen(_TOO_SHORT)
        try:
            return self._key.decrypt(sealed[:GCM_NONCE], sealed[GCM_NONCE:], at), self.mark
        except (InvalidTag, ValueError):
            raise CannotOpen("cipher: message authentication failed") from None


class SeededAesGcm:
    """AES-GCM with a key of its own for every value, derived from a seed: no nonce can come twice under a key."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) < SEED:
            raise CannotOpen(f"invalid seed length {len(seed)} used for key generation")
        self._seed = seed
        self.mark = mark_of(seed)

    def _derived(self, info: bytes) -> AesGcm:
        return AesGcm(HKDFExpand(SHA256(), 32, info).derive(self._seed))

    def seal(self, value: bytes, at: bytes) -> bytes:
        info = os.urandom(SEED)
        return info + self._derived(info).seal(value, at)

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        if len(sealed) < SEED:
            raise CannotOpen(_TOO_SHORT)
        return self._derived(sealed[:SEED]).open(sealed[SEED:], at)[0], self.mark


class Secretbox:
    """XSalsa20 and Poly1305, as NaCl's secretbox puts them together."""

    def __init__(self, secret: bytes) -> None:
        from nacl.secret import SecretBox  # only who configures it loads the library

        self._box: Any = SecretBox(secret)
        self.mark = mark_of(secret)

    def seal(self, value: bytes, at: bytes) -> bytes:
        return bytes(self._box.encrypt(value))

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        from nacl.exceptions import CryptoError

        if len(sealed) < BOX_NONCE + BOX_TAG:
            raise CannotOpen(_TOO_SHORT)
        try:
            return bytes(self._box.decrypt(sealed)), self.mark
        except CryptoError:  # upstream's words
            raise CannotOpen("output array was not large enough for encryption") from None


@dataclass(frozen=True)
class Choice:
    """Several ciphers, told apart by what the value begins with."""

    resource: str  # for the metrics
    entries: Sequence[tuple[bytes, Cipher]]
    nothing_fits: str

    @property
    def mark(self) -> str:
        prefix, cipher = self.entries[0]
        return prefix.decode() + cipher.mark

    def seal(self, value: bytes, at: bytes) -> bytes:
        prefix, cipher = self.entries[0]
        began = time.perf_counter()
        try:
            sealed = prefix + cipher.seal(value, at)
        except CannotSeal as error:
            metrics.note(self.resource, metrics.TO_STORAGE, prefix.decode(), began, error)
            raise
        metrics.note(self.resource, metrics.TO_STORAGE, prefix.decode(), began)
        return sealed

    def open(self, sealed: bytes, at: bytes) -> tuple[bytes, str]:
        began = time.perf_counter()
        failures: dict[str, None] = {}  # in their order, each once
        for prefix, cipher in self.entries:
            if not sealed.startswith(prefix):
                continue
            shown = prefix.decode() or "identity"
            try:
                value, mark = cipher.open(sealed[len(prefix) :], at)
            except CannotOpen as error:
                if prefix:  # what identity refuses is for others to read
                    metrics.note(self.resource, metrics.FROM_STORAGE, shown, began, error)
                    failures[str(error)] = None
                continue  # the same prefix may come again with another key
            metrics.note(self.resource, metrics.FROM_STORAGE, shown, began)
            return value, prefix.decode() + mark
        if failures:
            text = ", ".join(failures)
            raise CannotOpen(text if len(failures) == 1 else f"[{text}]")
        nothing = CannotOpen(self.nothing_fits)
        metrics.note(self.resource, metrics.FROM_STORAGE, "unknown", began, nothing)
        raise nothing
