"""The flags of a program's own HTTPS port, the same for every control loop.

Source: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubarium.component_base import certificates
from kubarium.component_base.cipher_suites import CipherSuite
from kubarium.component_base.memory_files import MemoryFiles
from kubarium.component_base.options import Duration, Whole, flag

SECURE = "Secure serving flags"
AUTHENTICATION = "Authentication flags"
AUTHORIZATION = "Authorization flags"
DEBUGGING = "Debugging flags"


@dataclass(frozen=True)
class SecureServing:
    """Options of a program inherit from this and say which port is theirs."""

    bind_address: str = flag(
        "0.0.0.0", "The IP address on which to listen for the --secure-port port.", group=SECURE
    )
    secure_port: int = flag(
        0, "The port on which to serve HTTPS with authentication and authorization. If 0, don't serve HTTPS at all.",
        group=SECURE,
    )  # fmt: skip
    cert_dir: str = flag("", "The directory where the TLS certs are located.", group=SECURE)
    tls_cert_file: str = flag("", "File containing the default x509 Certificate for HTTPS.", group=SECURE)
    tls_private_key_file: str = flag(
        "", "File containing the default x509 private key matching --tls-cert-file.", group=SECURE
    )
    tls_min_version: str = flag(
        "",
        "Minimum TLS version supported.",
        group=SECURE,
        choices=("", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"),
    )
    tls_cipher_suites: tuple[CipherSuite, ...] = flag(
        (),
        "Cipher suites of TLS 1.2, comma separated; those that OpenSSL takes for safe by default.",
        group=SECURE,
    )
    tls_sni_cert_key: tuple[Whole, ...] = flag(
        (),
        "More certificates, by the name that clients ask for: cert,key or cert,key:domain,domain.",
        group=SECURE,
    )
    tls_curve_preferences: tuple[int, ...] = flag(
        (), "Accepted; TLS is spoken with the curves that OpenSSL prefers.", group=SECURE
    )
    disable_http2_serving: bool = flag(False, "Accepted; HTTP/1.1 is spoken.", group=SECURE)
    http2_max_streams_per_connection: int = flag(0, "Accepted; HTTP/1.1 is spoken.", group=SECURE)
    permit_address_sharing: bool = flag(False, "Accepted; the address is shared.", group=SECURE)
    permit_port_sharing: bool = flag(False, "Accepted; the port is not shared.", group=SECURE)
    authentication_kubeconfig: str = flag(
        "", "kubeconfig file pointing at the server with enough rights to create tokenreviews. If empty, all token "
        "requests are considered to be anonymous and no client CA is looked up in the cluster.", group=AUTHENTICATION
    )  # fmt: skip
    authentication_skip_lookup: bool = flag(
        False, "If false, the authentication-kubeconfig will be used to lookup missing authentication configuration "
        "from the cluster.", group=AUTHENTICATION
    )  # fmt: skip
    authentication_tolerate_lookup_failure: bool = flag(
        True, "If true, failures to look up missing authentication configuration from the cluster are not fatal.",
        group=AUTHENTICATION,
    )  # fmt: skip
    authentication_token_webhook_cache_ttl: Duration = flag(
        10.0, "The duration to cache responses from the webhook token authenticator.", group=AUTHENTICATION
    )
    client_ca_file: str = flag(
        "", "If set, any request presenting a client certificate signed by one of the authorities in the "
        "client-ca-file is authenticated with an identity corresponding to the CommonName.", group=AUTHENTICATION
    )  # fmt: skip
    requestheader_client_ca_file: str = flag(
        "", "Authority whose clients are front proxies: they say in headers who it is that asks.",
        group=AUTHENTICATION,
    )  # fmt: skip
    requestheader_allowed_names: tuple[str, ...] = flag(
        (), "Common names of the front proxies that are believed; if empty, all of the authority.",
        group=AUTHENTICATION,
    )  # fmt: skip
    requestheader_username_headers: tuple[str, ...] = flag(
        ("x-remote-user",), "Headers with the user's name.", group=AUTHENTICATION
    )
    requestheader_uid_headers: tuple[str, ...] = flag(
        (), "Headers with the user's uid.", group=AUTHENTICATION
    )
    requestheader_group_headers: tuple[str, ...] = flag(
        ("x-remote-group",), "Headers with groups.", group=AUTHENTICATION
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = flag(
        ("x-remote-extra-",), "Prefixes of headers with more.", group=AUTHENTICATION
    )
    authorization_kubeconfig: str = flag(
        "", "kubeconfig file pointing at the server with enough rights to create subjectaccessreviews. If empty, all "
        "requests not skipped by authorization are forbidden.", group=AUTHORIZATION
    )  # fmt: skip
    authorization_always_allow_paths: tuple[str, ...] = flag(
        ("/healthz", "/readyz", "/livez"),
        "A list of HTTP paths to skip during authorization, i.e. these are authorized without contacting the server.",
        group=AUTHORIZATION,
    )
    authorization_webhook_cache_authorized_ttl: Duration = flag(
        10.0, "The duration to cache 'authorized' responses from the webhook authorizer.", group=AUTHORIZATION
    )
    authorization_webhook_cache_unauthorized_ttl: Duration = flag(
        10.0,
        "The duration to cache 'unauthorized' responses from the webhook authorizer.",
        group=AUTHORIZATION,
    )
    profiling: bool = flag(
        True, "Enable profiling via web interface host:port/debug/pprof/.", group=DEBUGGING
    )
    contention_profiling: bool = flag(False, "Accepted; there are no locks to profile.", group=DEBUGGING)


def key_pair(flags: SecureServing, name: str, files: MemoryFiles) -> tuple[str, str]:
    """The certificate that the flags name, or one that the program signs itself."""
    if flags.tls_cert_file:
        return flags.tls_cert_file, flags.tls_private_key_file
    if not flags.cert_dir:
        pair = _self_signed(name)
        return files.keep(f"{name}.crt", pair.cert_pem), files.keep(f"{name}.key", pair.key_pem)
    directory = Path(flags.cert_dir)
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    if not cert.exists():
        _self_signed(name).write(cert, key)
    return str(cert), str(key)


def _self_signed(name: str) -> certificates.KeyPair:
    return certificates.Authority.create(f"{name}-ca").server(name, ["localhost", "127.0.0.1"])
