"""Several certificates on one port: the client says in its greeting for which name it comes (SNI).

Source: `--tls-sni-cert-key` in https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NamedPair:
    """One certificate, and for which names it is."""

    cert_file: str
    key_file: str
    names: tuple[str, ...]


def parse(text: str) -> NamedPair:
    """`cert,key:domain,*.domain`; without domains, the names of the certificate. Raises ValueError."""
    files, _, names = text.partition(":")
    parts = files.split(",")
    if len(parts) != 2 or not all(parts):
        raise ValueError("expected comma separated certificate and key file paths")
    own = tuple(name for name in names.split(",") if name) or _names_in(Path(parts[0]))
    return NamedPair(parts[0], parts[1], own)


def serve_by_name(
    context: ssl.SSLContext, pairs: Sequence[str], prepare: Callable[[ssl.SSLContext], None]
) -> None:
    """Let a context hand over to others; names that are given win over those of certificates, exact over wild ones."""
    if not pairs:
        return
    contexts: dict[str, ssl.SSLContext] = {}
    for text in sorted(pairs, key=lambda text: ":" in text, reverse=True):
        pair = parse(text)
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(pair.cert_file, pair.key_file)
        prepare(own)
        for name in pair.names:
            contexts.setdefault(name.lower(), own)

    def greeted(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        found = context_for(name or "", contexts)
        if found is not None:
            connection.context = found

    context.sni_callback = greeted


def context_for(name: str, contexts: dict[str, ssl.SSLContext]) -> ssl.SSLContext | None:
    """The context of a name, or of a pattern such as `*.example.com`."""
    name = name.lower().rstrip(".")
    rest = name.partition(".")[2]
    return contexts.get(name) or (contexts.get(f"*.{rest}") if rest else None)


def _names_in(path: Path) -> tuple[str, ...]:
    from cryptography import x509  # here, because it is large, and most servers have one certificate

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(attribute.value) for attribute in common)
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )
