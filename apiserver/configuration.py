"""Configuration files of the API server: YAML of a known kind, in which no unknown field may stand.

A shape says which fields there are: `{"jwt": [{"issuer": {"url": None}}]}`; None is any value, a list has items of
one shape, `"*"` as the only key makes a map with any keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import yaml

from kubarium.apimachinery.field_path import FieldError
from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Counts, Latest
from kubarium.component_base.options import parse_duration

log = logging.get(__name__)

Shape = Mapping[str, Any] | Sequence[Any] | None

GROUP = "apiserver.config.k8s.io"


class ConfigurationError(ValueError):
    """A configuration file cannot be used."""


_AREAS = ("authentication", "authorization", "encryption")
_IDENTITY = ("apiserver_id_hash", "status")
_RELOADS = {
    area: Counts(
        f"apiserver_{area}_config_controller_automatic_reloads_total",
        f"Total number of automatic reloads of {area} configuration split by status and apiserver identity.",
        _IDENTITY,
    )
    for area in _AREAS
}
_LATEST = {
    area: Latest(
        f"apiserver_{area}_config_controller_automatic_reload_last_timestamp_seconds",
        f"Timestamp of the last automatic reload of {area} configuration split by status and apiserver identity.",
        _IDENTITY,
    )
    for area in _AREAS
}

T = TypeVar("T")


class FollowedFile(Generic[T]):
    """A configuration file that is read again when it has changed; what cannot be used is reported and passed over."""

    def __init__(self, path: str, area: str, server_id: str, clock: Clock, load: Callable[[], T]) -> None:
        """`load` reads and judges it. Raises ConfigurationError."""
        self._path = Path(path)
        self._area = area
        self._server = "sha256:" + hashlib.sha256(server_id.encode()).hexdigest()
        self._clock = clock
        self._load = load
        self._content = self._path.read_bytes()

    def fresh(self) -> T | None:
        """What the file says, if that is news and can be used."""
        if (found := self.changed()) is not None:
            log.info("the %s configuration has changed", self._area)
            self.note("success")
        return found

    def changed(self) -> T | None:
        """The same for somebody who judges himself, and notes a success himself."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None  # it is being replaced
        if content == self._content:
            return None
        self._content = content
        try:
            return self._load()
        except ConfigurationError as error:
            log.error("the %s configuration is not taken over: %s", self._area, error)
            self.note("failure")
            return None

    def read_again(self) -> None:
        """Take the file for news once more: what stood against it may have changed."""
        self._content = b""

    def note(self, status: str) -> None:
        """Count a `success` or a `failure`."""
        labels = (self._server, status)
        _RELOADS[self._area].add(labels)
        _LATEST[self._area].set(labels, self._clock.now().timestamp())


def load(path: str, kind: str, versions: Sequence[str], shape: Shape) -> Object:
    """Read a file of one kind, in one of several versions. Raises ConfigurationError."""
    try:
        return decode(Path(path).read_text(), kind, versions, shape)
    except OSError as error:
        raise ConfigurationError(f"{kind}: open {path}: {reason_of(error)}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def decode(text: str, kind: str, versions: Sequence[str], shape: Shape) -> Object:
    """The same for a text."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"error converting YAML to JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError("Object 'Kind' is missing")
    if found.get("kind") != kind or found.get("apiVersion") not in versions:
        given = f"{found.get('apiVersion')}, Kind={found.get('kind')}"
        raise ConfigurationError(f"expected {kind} in {' or '.join(versions)}, got {given}")
    unknown = list(
        _unknown({key: found[key] for key in found if key not in ("kind", "apiVersion")}, shape, "")
    )
    if unknown:
        raise ConfigurationError(
            "strict decoding error: " + ", ".join(f'unknown field "{at}"' for at in unknown)
        )
    return found


def _unknown(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape is None or value is None:
        return
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            raise ConfigurationError(f"json: cannot unmarshal into field {path}: an object is expected")
        for key, inner in value.items():
            at = f"{path}.{key}" if path else key
            if "*" in shape:
                yield from _unknown(inner, shape["*"], at)
            elif key not in shape:
                yield at
            else:
                yield from _unknown(inner, shape[key], at)
    else:
        if not isinstance(value, list):
            raise ConfigurationError(f"json: cannot unmarshal into field {path}: a list is expected")
        for index, inner in enumerate(value):
            yield from _unknown(inner, shape[0], f"{path}[{index}]")


def reason_of(error: OSError) -> str:
    """Why a file cannot be read, as Go says it: `no such file or directory`."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def refuse(errors: Sequence[FieldError]) -> None:
    """Raises ConfigurationError if there are errors."""
    if len(errors) == 1:
        raise ConfigurationError(str(errors[0]))
    if errors:
        raise ConfigurationError("[" + ", ".join(map(str, errors)) + "]")


def seconds(text: Any, default: float) -> float:
    """A duration such as `30s` from a file. Raises ConfigurationError."""
    if text is None:
        return default
    try:
        return parse_duration(str(text))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def remote(kubeconfig_file: str) -> tuple[Client, str]:
    """Whoever a webhook's kubeconfig file names, and the path to post to. Raises ConfigurationError."""
    try:
        config = kubeconfig.load(kubeconfig_file)
    except kubeconfig.ConfigError as error:
        raise ConfigurationError(str(error)) from None
    url = urlsplit(config.server)
    server = f"{url.scheme}://{url.netloc}"
    return Client(replace(config, server=server), user_agent="kube-apiserver"), url.path
