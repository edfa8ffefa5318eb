"""`--tls-cipher-suites`: suites of TLS 1.2 by the names that Go has for them, and what OpenSSL calls those.

TLS 1.3 has suites of its own, which nobody chooses. Old names without their hash are taken, as upstream does it. Of the
suites that are called insecure OpenSSL has some and leaves out the others.
Source: k8s.io/component-base/cli/flag/ciphersuites_flag.go, https://pkg.go.dev/crypto/tls#pkg-constants
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_SUITES = {
    "TLS_ECDHE_{}_WITH_AES_128_CBC_SHA": "ECDHE-{}-AES128-SHA",
    "TLS_ECDHE_{}_WITH_AES_256_CBC_SHA": "ECDHE-{}-AES256-SHA",
    "TLS_ECDHE_{}_WITH_AES_128_GCM_SHA256": "ECDHE-{}-AES128-GCM-SHA256",
    "TLS_ECDHE_{}_WITH_AES_256_GCM_SHA384": "ECDHE-{}-AES256-GCM-SHA384",
    "TLS_ECDHE_{}_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-{}-CHACHA20-POLY1305",
    "TLS_ECDHE_{}_WITH_CHACHA20_POLY1305": "ECDHE-{}-CHACHA20-POLY1305",
    "TLS_ECDHE_{}_WITH_AES_128_CBC_SHA256": "ECDHE-{}-AES128-SHA256",
    "TLS_ECDHE_{}_WITH_RC4_128_SHA": "ECDHE-{}-RC4-SHA",
}
_NAMES = {go.format(kind): ours.format(kind) for kind in ("RSA", "ECDSA") for go, ours in _SUITES.items()} | {
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "ECDHE-RSA-DES-CBC3-SHA",
    "TLS_RSA_WITH_RC4_128_SHA": "RC4-SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}


class CipherSuite(str):
    """A name that Go knows. Raises ValueError for any other."""

    __slots__ = ()

    def __new__(cls, name: str) -> CipherSuite:
        if name not in _NAMES and name not in _TLS13:
            raise ValueError(f"Cipher suite {name} not supported or doesn't exist")
        return super().__new__(cls, name)


def restrict(context: ssl.SSLContext, suites: Sequence[str]) -> None:
    """Speak TLS 1.2 with these suites only; not at all if none of them is for it. No suites are no restriction."""
    if not suites:
        return
    chosen = [_NAMES[name] for name in suites if name in _NAMES]
    try:
        context.set_ciphers(":".join(chosen) or "NONE")
    except ssl.SSLError:  # OpenSSL has none of them
        context.minimum_version = ssl.TLSVersion.TLSv1_3
