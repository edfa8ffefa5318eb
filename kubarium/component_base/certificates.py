"""Authorities, key pairs and kubeconfig files: make them and write them.

    ca = Authority.create("kubernetes")
    ca.server("kube-apiserver", ["kubernetes", "10.96.0.1"]).write("apiserver.crt", "apiserver.key")
    pair = ca.client("system:node:node-1", ["system:nodes"])
    write_kubeconfig(path, server="https://10.89.0.1:6443", ca=ca.cert_pem, user="node", pair=pair)

A user's name is the common name of the certificate, the groups are its organizations.
Keys are EC P-256 (made in a millisecond); only the service-account signing key is RSA: its tokens are RS256.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
CLOCK_SKEW = timedelta(minutes=5)  # a certificate is valid a little before it was made

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both as PEM."""

    cert_pem: bytes
    key_pem: bytes

    def write(self, cert_file: Path | str, key_file: Path | str) -> None:
        """Put both into files; only the owner may read the key."""
        write_private(Path(key_file), self.key_pem)
        write_public(Path(cert_file), self.cert_pem)

    @classmethod
    def read(cls, cert_file: Path | str, key_file: Path | str) -> KeyPair:
        """Take both from files."""
        return cls(Path(cert_file).read_bytes(), Path(key_file).read_bytes())


class Authority:
    """A certificate authority that signs certificates of servers, clients and requests."""

    def __init__(self, pair: KeyPair) -> None:
        self.pair = pair
        self.certificate = x509.load_pem_x509_certificate(pair.cert_pem)
        key = serialization.load_pem_private_key(pair.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key of a certificate authority must be EC or RSA")
        self._key: CertificateIssuerPrivateKeyTypes = key

    @property
    def cert_pem(self) -> bytes:
        """The certificate that others trust."""
        return self.pair.cert_pem

    @classmethod
    def create(cls, common_name: str, days: int = AUTHORITY_DAYS) -> Authority:
        """Make a self-signed authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(common_name, [])
        builder = _builder(subject, subject, key.public_key(), timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return cls(KeyPair(_pem(builder.sign(key, hashes.SHA256())), _private_pem(key)))

    @classmethod
    def read(cls, cert_file: Path | str, key_file: Path | str) -> Authority:
        """Take an authority from files."""
        return cls(KeyPair.read(cert_file, key_file))

    @classmethod
    def read_or_create(cls, common_name: str, cert_file: Path | str, key_file: Path | str) -> Authority:
        """Take an authority from files, or make it and write the files."""
        if Path(cert_file).exists() and Path(key_file).exists():
            return cls.read(cert_file, key_file)
        authority = cls.create(common_name)
        authority.pair.write(cert_file, key_file)
        return authority

    def server(
        self,
        common_name: str,
        names: Iterable[str],
        organizations: Sequence[str] = (),
        client_too: bool = False,
        days: int = CERTIFICATE_DAYS,
    ) -> KeyPair:
        """Sign a serving certificate for these DNS names and addresses (etcd members are clients, too)."""
        usages = [SERVER_AUTH, CLIENT_AUTH] if client_too else [SERVER_AUTH]
        return self._issue(common_name, organizations, usages, list(names), timedelta(days=days))

    def client(
        self, common_name: str, organizations: Sequence[str] = (), days: int = CERTIFICATE_DAYS
    ) -> KeyPair:
        """Sign a client certificate: a user's name and its groups."""
        return self._issue(common_name, organizations, [CLIENT_AUTH], [], timedelta(days=days))

    def sign_request(
        self, request_pem: bytes, usages: Sequence[x509.ObjectIdentifier], lifetime: timedelta
    ) -> bytes:
        """Sign someone else's certificate signing request; returns the certificate as PEM."""
        request = x509.load_pem_x509_csr(request_pem)
        if not request.is_signature_valid:
            raise ValueError("the certificate request is not signed by its own key")
        builder = self._leaf(request.subject, request.public_key(), usages, lifetime)
        try:
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(names.value, critical=names.critical)
        except x509.ExtensionNotFound:
            pass
        return _pem(builder.sign(self._key, hashes.SHA256()))

    def _issue(
        self,
        common_name: str,
        organizations: Sequence[str],
        usages: Sequence[x509.ObjectIdentifier],
        names: Sequence[str],
        lifetime: timedelta,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(_subject(common_name, organizations), key.public_key(), usages, lifetime)
        if names:
            alternative = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
            builder = builder.add_extension(alternative, critical=False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), _private_pem(key))

    def _leaf(
        self,
        subject: x509.Name,
        public_key: Any,
        usages: Sequence[x509.ObjectIdentifier],
        lifetime: timedelta,
    ) -> x509.CertificateBuilder:
        builder = _builder(subject, self.certificate.subject, public_key, lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False)


def certificate_request(
    common_name: str, organizations: Sequence[str] = (), names: Iterable[str] = ()
) -> KeyPair:
    """A certificate signing request with its new key; the request stands in `cert_pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(common_name, organizations))
    general = [_general_name(name) for name in names]
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return KeyPair(_pem(builder.sign(key, hashes.SHA256())), _private_pem(key))


def service_account_key() -> KeyPair:
    """The key that signs service-account tokens; its public half stands in `cert_pem`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(public, _private_pem(key))


def expires(cert_pem: bytes) -> datetime:
    """When the first certificate of a PEM file ends."""
    return x509.load_pem_x509_certificate(cert_pem).not_valid_after_utc


def lifetime(cert_pem: bytes) -> tuple[datetime, datetime]:
    """From when to when the first certificate of a PEM file holds."""
    found = x509.load_pem_x509_certificate(cert_pem)
    return found.not_valid_before_utc, found.not_valid_after_utc


def subject(cert_pem: bytes) -> tuple[str, list[str]]:
    """User name and groups of a client certificate."""
    name = x509.load_pem_x509_certificate(cert_pem).subject
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return (str(common[0].value) if common else "", [str(group.value) for group in groups])


def kubeconfig(
    server: str,
    ca: bytes | Path | str,
    user: str,
    pair: KeyPair | tuple[Path | str, Path | str] | None = None,
    token: str | None = None,
    cluster: str = "kubernetes",
    namespace: str | None = None,
) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context; bytes are embedded, paths are referred to."""
    authority = (
        {"certificate-authority-data": _base64(ca)}
        if isinstance(ca, bytes)
        else {"certificate-authority": str(ca)}
    )
    credentials: dict[str, Any] = {}
    if isinstance(pair, KeyPair):
        credentials["client-certificate-data"] = _base64(pair.cert_pem)
        credentials["client-key-data"] = _base64(pair.key_pem)
    elif pair is not None:
        credentials["client-certificate"], credentials["client-key"] = str(pair[0]), str(pair[1])
    if token is not None:
        credentials["token"] = token
    name = f"{user}@{cluster}"  # of the user, too: files of several clusters are often merged
    context = {"cluster": cluster, "user": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server} | authority}],
        "users": [{"name": name, "user": credentials}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def write_kubeconfig(path: Path | str, **parts: Any) -> None:
    """Write `kubeconfig(**parts)`; only the owner may read it."""
    write_private(Path(path), yaml.safe_dump(kubeconfig(**parts), sort_keys=False).encode())


def write_private(path: Path, content: bytes) -> None:
    """Replace a file that only the owner may read, in one step."""
    _replace(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """Replace a file that everyone may read, in one step."""
    _replace(path, content, 0o644)


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(signed: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return signed.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = (
        serialization.PrivateFormat.TraditionalOpenSSL
        if isinstance(key, rsa.RSAPrivateKey)
        else serialization.PrivateFormat.PKCS8
    )
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _replace(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
