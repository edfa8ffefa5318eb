"""The bytes that lie in etcd: those of kube-apiserver, so that each can read what the other wrote."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from apiserver.storage.encryption.ciphers import (
    AesCbc,
    AesGcm,
    CannotOpen,
    Choice,
    Identity,
    Secretbox,
    SeededAesGcm,
)

SECRET = b"secret is secure, is it?????????"
AT = b"/registry/secrets/default/secret1"
VALUE = b'{"kind":"Secret"}'


@pytest.mark.parametrize("make", [AesCbc, AesGcm, SeededAesGcm, Secretbox])
def test_what_was_sealed_can_be_opened(make: type[AesCbc]) -> None:
    cipher = make(SECRET)
    sealed = cipher.seal(VALUE, AT)
    assert VALUE not in sealed
    assert sealed != cipher.seal(VALUE, AT)
    assert make(SECRET).open(sealed, AT) == (VALUE, cipher.mark)
    with pytest.raises(CannotOpen, match="shorter than the required size"):
        cipher.open(sealed[:10], AT)
    with pytest.raises(CannotOpen):
        make(SECRET[::-1]).open(sealed, AT)


def test_cbc_is_an_initial_vector_and_padded_blocks() -> None:
    sealed = AesCbc(SECRET).seal(b"0123456789abcdef", AT)
    assert len(sealed) == 48
    decryptor = Cipher(AES(SECRET), CBC(sealed[:16])).decryptor()
    assert decryptor.update(sealed[16:]) + decryptor.finalize() == b"0123456789abcdef" + b"\x10" * 16
    with pytest.raises(CannotOpen, match="not a multiple of the block size"):
        AesCbc(SECRET).open(sealed[:-1], AT)


def test_gcm_holds_a_value_at_its_place() -> None:
    sealed = AesGcm(SECRET).seal(VALUE, AT)
    assert len(sealed) == 12 + len(VALUE) + 16
    with pytest.raises(CannotOpen, match="cipher: message authentication failed"):
        AesGcm(SECRET).open(sealed, b"/registry/secrets/default/secret2")


def test_secretbox_reads_what_others_wrote() -> None:
    """The test vector of NaCl: `tests/secretbox.c`, with its nonce in front as kube-apiserver keeps it."""
    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    boxed = bytes.fromhex(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
        "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
        "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
    )
    plain, _ = Secretbox(key).open(nonce + boxed, AT)
    assert plain.startswith(bytes.fromhex("be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc"))
    assert len(plain) == 131


def test_the_first_entry_writes_and_all_read() -> None:
    keys = Choice("secrets", [(b"key1:", AesCbc(SECRET)), (b"key2:", AesCbc(SECRET[::-1]))], "no key")
    choice = Choice("secrets", [(b"k8s:enc:aescbc:v1:", keys), (b"", Identity())], "no matching prefix found")
    sealed = choice.seal(VALUE, AT)
    assert sealed.startswith(b"k8s:enc:aescbc:v1:key1:")
    assert choice.open(sealed, AT) == (VALUE, choice.mark)
    older = b"k8s:enc:aescbc:v1:key2:" + AesCbc(SECRET[::-1]).seal(VALUE, AT)
    value, mark = choice.open(older, AT)
    assert value == VALUE
    assert mark != choice.mark
    assert choice.open(VALUE, AT) == (VALUE, "")


def test_the_same_key_name_may_stand_for_two_keys() -> None:
    """Rotation by a second provider of the same kind: https://issues.k8s.io/94241."""
    new = Choice("secrets", [(b"1:", AesGcm(SECRET))], "no key")
    old = Choice("secrets", [(b"1:", AesGcm(SECRET[::-1]))], "no key")
    choice = Choice("secrets", [(b"k8s:enc:aesgcm:v1:", new), (b"k8s:enc:aesgcm:v1:", old)], "nothing")
    sealed = b"k8s:enc:aesgcm:v1:" + old.seal(VALUE, AT)
    value, mark = choice.open(sealed, AT)
    assert value == VALUE
    assert mark != choice.mark
    with pytest.raises(CannotOpen, match=r"^cipher: message authentication failed$"):
        choice.open(sealed, b"elsewhere")


def test_what_nobody_can_open_says_why() -> None:
    keys = Choice(
        "secrets", [(b"key1:", AesCbc(SECRET))], "no matching key was found for the provided AES transformer"
    )
    choice = Choice("secrets", [(b"k8s:enc:aescbc:v1:", keys)], "no matching prefix found")
    with pytest.raises(CannotOpen, match=r"^no matching prefix found$"):
        choice.open(VALUE, AT)
    with pytest.raises(CannotOpen, match=r"^no matching key was found for the provided AES transformer$"):
        choice.open(b"k8s:enc:aescbc:v1:key9:" + base64.b64decode("AAAA"), AT)
    with pytest.raises(CannotOpen, match=r"^identity transformer tried to read encrypted data$"):
        Identity().open(b"k8s:enc:aescbc:v1:key9:", AT)
