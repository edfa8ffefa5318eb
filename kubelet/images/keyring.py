"""Which logins fit an image: those of the pod's secrets first, then those that the node itself has."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of
from kubarium.component_base import logging
from kubelet.images import names
from kubelet.runtime.interface import Credentials

log = logging.get(__name__)

NODE_FILES = ("config.json", ".dockercfg")


@dataclass(frozen=True, slots=True)
class Source:
    """Whose login it is. Without a secret and an account it is the node's, which every pod may use."""

    secret: tuple[str, str, str] | None = None  # uid, namespace, name
    account: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials and where they come from."""

    credentials: Credentials
    source: Source = Source()

    @property
    def hash(self) -> str:
        """By this the same login is known again; it does not tell the password."""
        one = self.credentials
        parts = [one.username, one.password, one.auth, one.identity_token, one.registry_token]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()


NodeLogins = Callable[[Object, str], Awaitable[Iterable[Login]]]
"""What credential provider plugins know for a pod and an image."""


def from_secrets(image: str, secrets: Iterable[Object]) -> list[Login]:
    """The logins in these secrets that are meant for the image, the most exact pattern first."""
    found = []
    for secret in secrets:
        source = Source(secret=(uid_of(secret), namespace_of(secret), name_of(secret)))
        found += [(pattern, Login(one, source)) for pattern, one in entries_of(docker_config(secret))]
    return _fitting(image, found)


def from_node(image: str, root: Path) -> list[Login]:
    """The logins in the node's own file, `config.json` in the kubelet's directory."""
    for name in NODE_FILES:
        try:
            document = orjson.loads((root / name).read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            log.warning("%s holds no docker configuration: %s", root / name, error)
            continue
        entries = document.get("auths") or {} if name == "config.json" else document
        return _fitting(image, [(pattern, Login(one)) for pattern, one in entries_of(entries)])
    return []


def _fitting(image: str, found: Iterable[tuple[str, Login]]) -> list[Login]:
    exact = sorted(found, key=lambda entry: entry[0], reverse=True)
    return list(dict.fromkeys(login for pattern, login in exact if names.matches(pattern, image)))


def entries_of(auths: Mapping[str, Any]) -> Iterable[tuple[str, Credentials]]:
    """Patterns and logins of a docker configuration."""
    for pattern, entry in auths.items():
        if isinstance(entry, dict):
            yield pattern, _login(entry)


def docker_config(secret: Object) -> dict[str, Any]:
    """The logins of a secret of type `dockerconfigjson` or `dockercfg`, by pattern."""
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            return dict(orjson.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {})
        if ".dockercfg" in data:
            return dict(orjson.loads(base64.b64decode(data[".dockercfg"])))
    except (ValueError, AttributeError, TypeError):
        log.warning("secret %s holds no docker configuration", logging.name(secret))
    return {}


def _login(entry: Mapping[str, Any]) -> Credentials:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if not username and entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username = ""
    return Credentials(
        username=username,
        password=password,
        identity_token=entry.get("identitytoken") or "",
        registry_token=entry.get("registrytoken") or "",
    )
