"""Servers speak TLS 1.2 with the suites that they are told, and TLS 1.3 as ever."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kubarium.component_base.certificates import Authority
from kubarium.component_base.cipher_suites import CipherSuite, restrict


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of a certificate and its key."""
    folder: Path = tmp_path_factory.mktemp("pair")
    Authority.create("kubernetes").server("localhost", ["localhost"]).write(folder / "crt", folder / "key")
    return str(folder / "crt"), str(folder / "key")


def handshake(server: ssl.SSLContext, version: ssl.TLSVersion, pair: tuple[str, str]) -> str:
    """The suite on which a client that speaks one version agrees with a server, both in memory."""
    server.load_cert_chain(*pair)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    asking.minimum_version = asking.maximum_version = version
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [asking.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    agreed = ends[0].cipher()
    assert agreed is not None
    return agreed[0]


def server(*suites: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict(context, [CipherSuite(name) for name in suites])
    return context


def test_only_suites_that_were_named_are_spoken(key_pair: tuple[str, str]) -> None:
    names = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    agreed = handshake(server(*names), ssl.TLSVersion.TLSv1_2, key_pair)
    assert agreed in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert handshake(server(*names), ssl.TLSVersion.TLSv1_3, key_pair).startswith("TLS_")
    assert handshake(server(), ssl.TLSVersion.TLSv1_2, key_pair)


@pytest.mark.parametrize("name", ["TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_RC4_128_SHA"])
def test_without_a_suite_for_it_there_is_no_older_tls(name: str, key_pair: tuple[str, str]) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(server(name), ssl.TLSVersion.TLSv1_2, key_pair)
    assert handshake(server(name), ssl.TLSVersion.TLSv1_3, key_pair).startswith("TLS_")


def test_others_are_refused() -> None:
    with pytest.raises(ValueError, match="Cipher suite TLS_NULL not supported or doesn't exist"):
        CipherSuite("TLS_NULL")
    assert CipherSuite("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305")  # the old name
