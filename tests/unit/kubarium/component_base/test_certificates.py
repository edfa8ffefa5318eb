"""Authorities sign what TLS accepts; kubeconfigs carry it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from kubarium.component_base import certificates
from kubarium.component_base.certificates import Authority


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority.create("kubernetes")


async def test_a_handshake_carries_user_and_groups(ca: Authority, tmp_path: Path) -> None:
    ca.pair.write(tmp_path / "ca.crt", tmp_path / "ca.key")
    ca.server("kube-apiserver", ["localhost", "127.0.0.1"]).write(tmp_path / "s.crt", tmp_path / "s.key")
    ca.client("jane", ["dev", "ops"]).write(tmp_path / "c.crt", tmp_path / "c.key")
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.crt"))
    server_side.load_cert_chain(tmp_path / "s.crt", tmp_path / "s.key")
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    client_side.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"][-1:])
        writer.write(names["commonName"].encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_side)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_side)
        assert await reader.readline() == b"jane\n"
        writer.close()
    assert certificates.subject((tmp_path / "c.crt").read_bytes()) == ("jane", ["dev", "ops"])


def test_the_key_is_private(ca: Authority, tmp_path: Path) -> None:
    ca.client("jane").write(tmp_path / "c.crt", tmp_path / "c.key")
    assert (tmp_path / "c.key").stat().st_mode & 0o777 == 0o600


def test_a_signing_request_keeps_its_subject_and_names(ca: Authority) -> None:
    request = certificates.certificate_request("system:node:a", ["system:nodes"], ["a", "10.0.0.1"])
    signed = ca.sign_request(request.cert_pem, [certificates.SERVER_AUTH], timedelta(hours=1))
    certificate = x509.load_pem_x509_certificate(signed)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificates.subject(signed) == ("system:node:a", ["system:nodes"])
    assert names.get_values_for_type(x509.DNSName) == ["a"]
    certificate.verify_directly_issued_by(ca.certificate)


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    first = Authority.read_or_create("x", tmp_path / "ca.crt", tmp_path / "ca.key")
    assert Authority.read_or_create("x", tmp_path / "ca.crt", tmp_path / "ca.key").cert_pem == first.cert_pem


def test_a_kubeconfig_embeds_bytes_and_refers_to_paths(ca: Authority, tmp_path: Path) -> None:
    pair = ca.client("kubernetes-admin", ["system:masters"])
    path = tmp_path / "admin.conf"
    certificates.write_kubeconfig(
        path, server="https://1.2.3.4:6443", ca=ca.cert_pem, user="kubernetes-admin", pair=pair
    )
    config = yaml.safe_load(path.read_text())
    data = config["users"][0]["user"]["client-certificate-data"]
    assert base64.b64decode(data) == pair.cert_pem
    assert config["current-context"] == config["users"][0]["name"] == "kubernetes-admin@kubernetes"
    refers = certificates.kubeconfig("https://h", "/ca.crt", "u", pair=("/c.crt", "/c.key"))
    assert refers["users"][0]["user"] == {"client-certificate": "/c.crt", "client-key": "/c.key"}
    assert refers["clusters"][0]["cluster"]["certificate-authority"] == "/ca.crt"
