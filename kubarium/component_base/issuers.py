"""Which authority signed a certificate: TLS trusts several, and they vouch for different things.

Many programs know of it and few ask: what reads certificates costs eight megabytes and is loaded when it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


class Issuers:
    """The certificates of one CA file."""

    def __init__(self, authorities: list[x509.Certificate]) -> None:
        self._authorities = authorities

    @classmethod
    def load(cls, path: str) -> Issuers:
        """Read a PEM bundle."""
        from cryptography import x509

        return cls(x509.load_pem_x509_certificates(Path(path).read_bytes()))

    def issued(self, der: bytes) -> bool:
        """Did one of these authorities sign the certificate?"""
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        return any(_signed_by(certificate, authority) for authority in self._authorities)


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
