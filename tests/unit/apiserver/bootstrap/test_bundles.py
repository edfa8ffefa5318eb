"""Authorities of several API servers in one config map."""

from __future__ import annotations

from apiserver.bootstrap.start import joined_bundles

ONE, TWO = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n" for text in ("MQ==", "Mg=="))


def test_each_server_adds_its_own() -> None:
    assert joined_bundles("", ONE) == ONE
    assert joined_bundles(ONE, TWO) == ONE + TWO
    assert joined_bundles(ONE + TWO, ONE) == ONE + TWO
