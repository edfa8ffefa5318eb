"""Kubeconfig files and in-cluster tokens become a `ClientConfig`.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import dataclasses
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """The kubeconfig cannot be used."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Where the API server is and how to prove who we are."""

    server: str
    ca_file: str = ""
    ca_data: bytes = b""
    cert_file: str = ""
    cert_data: bytes = b""
    key_file: str = ""
    key_data: bytes = b""
    token: str = ""
    token_file: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    namespace: str = "default"
    impersonate: str = ""
    impersonate_group: str = ""

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS settings for this server; None for plain HTTP."""
        if not self.server.startswith("https"):
            return None
        context = ssl.create_default_context(
            cafile=self.ca_file or None, cadata=self.ca_data.decode() if self.ca_data else None
        )
        if self.insecure_skip_tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        elif self.cert_data:
            _load_from_memory(context, self.cert_data, self.key_data)
        return context

    def bearer_token(self) -> str:
        """The token to send, read anew from its file each time: tokens of pods rotate."""
        return Path(self.token_file).read_text().strip() if self.token_file else self.token


def _load_from_memory(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """OpenSSL reads key pairs from files only; the file is gone when this returns."""
    with tempfile.NamedTemporaryFile(prefix="kubarium-") as file:  # created with mode 0600
        file.write(cert + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


SECTIONS = ("clusters", "contexts", "users")


def paths() -> list[str]:
    """All files of `$KUBECONFIG`, else `~/.kube/config`."""
    named = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return list(dict.fromkeys(named)) or [str(Path.home() / ".kube" / "config")]


def default_path() -> str:
    """Where new entries go: the first file that exists, else the last."""
    return next((path for path in paths() if Path(path).exists()), paths()[-1])


def read(path: str) -> dict[str, Any]:
    """One file; empty if there is none. Raises ConfigError."""
    try:
        return yaml.safe_load(Path(path).read_text()) or {}
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f'error loading config file "{path}": {error}') from error


def merged(files: Sequence[str]) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """Several files as one, and from which of them each entry is: the first that has a name wins, as a whole."""
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": ""}
    entries: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origins: dict[tuple[str, str], str] = {}
    for path in files:
        for key, value in read(path).items():
            for entry in value or () if key in entries else ():
                if entry["name"] not in entries[key]:
                    entries[key][entry["name"]] = entry
                    origins[key, entry["name"]] = path
            if key not in entries and value and not found.get(key):
                found[key] = value
    return found | {section: [*each.values()] for section, each in entries.items()}, origins


def load(
    path: str | None = None,
    context: str | None = None,
    *,
    cluster: str | None = None,
    user: str | None = None,
) -> ClientConfig:
    """Read kubeconfig files; a cluster and a user that are named replace those of the context. Raises ConfigError."""
    files = [path] if path else paths()
    if not any(Path(each).exists() for each in files):
        raise ConfigError(f"stat {files[0]}: no such file or directory")
    document, origins = merged(files)
    chosen = context or document.get("current-context") or ""
    entry = _named(document, "contexts", "context", chosen)
    cluster_name, user_name = cluster or entry.get("cluster", ""), user or entry.get("user", "")
    server = _named(document, "clusters", "cluster", cluster_name)
    login = _named(document, "users", "user", user_name) if user_name else {}
    base = Path(origins.get(("users", user_name), files[0])).resolve().parent
    near_server = Path(origins["clusters", cluster_name]).resolve().parent
    return ClientConfig(
        server=server["server"].rstrip("/"),
        ca_file=_file(near_server, server.get("certificate-authority")),
        ca_data=_data(server.get("certificate-authority-data")),
        cert_file=_file(base, login.get("client-certificate")),
        cert_data=_data(login.get("client-certificate-data")),
        key_file=_file(base, login.get("client-key")),
        key_data=_data(login.get("client-key-data")),
        token=login.get("token") or "",
        token_file=_file(base, login.get("tokenFile")),
        insecure_skip_tls_verify=bool(server.get("insecure-skip-tls-verify")),
        tls_server_name=server.get("tls-server-name") or "",
        namespace=entry.get("namespace") or "default",
        impersonate=login.get("as") or "",
    )


def of_program(path: str, master: str = "") -> ClientConfig:
    """For a program with `--kubeconfig` and `--master`; without a file it is a pod. Raises ConfigError."""
    found = load(path) if path else in_cluster()
    return dataclasses.replace(found, server=master.rstrip("/")) if master else found


def in_cluster() -> ClientConfig:
    """The service account that is mounted into this pod. Raises ConfigError outside of a pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise ConfigError(
            "unable to load in-cluster configuration, "
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
        )
    if ":" in host:
        host = f"[{host}]"
    return ClientConfig(
        server=f"https://{host}:{port}",
        ca_file=str(SERVICE_ACCOUNT / "ca.crt"),
        token_file=str(SERVICE_ACCOUNT / "token"),
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
    )


def _named(document: Mapping[str, Any], section: str, kind: str, name: str) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            found: dict[str, Any] = entry.get(kind) or {}
            return found
    raise ConfigError(f'invalid configuration: {kind} "{name}" does not exist')


def _file(base: Path, path: str | None) -> str:
    return str(base / path) if path else ""


def encoded(content: bytes) -> str:
    """How a kubeconfig holds what otherwise lies in a file."""
    return base64.b64encode(content).decode()


def _data(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def users(path: str) -> dict[str, ClientConfig]:
    """How each user of a file proves who he is; the server is left open. Raises ConfigError."""
    if not Path(path).exists():
        raise ConfigError(f"stat {path}: no such file or directory")
    document = read(path)
    base = Path(path).resolve().parent
    return {entry["name"]: _of_user(entry.get("user") or {}, base) for entry in document.get("users") or ()}


def _of_user(user: Mapping[str, Any], base: Path) -> ClientConfig:
    return ClientConfig(
        server="https://",
        cert_file=_file(base, user.get("client-certificate")),
        cert_data=_data(user.get("client-certificate-data")),
        key_file=_file(base, user.get("client-key")),
        key_data=_data(user.get("client-key-data")),
        token=user.get("token") or "",
        token_file=_file(base, user.get("tokenFile")),
    )
