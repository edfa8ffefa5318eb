"""What an EncryptionConfiguration says, and what is wrong with it, in upstream's words.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#apiserver-config-k8s-io-v1-EncryptionConfiguration
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from apiserver import configuration
from apiserver.configuration import ConfigurationError
from kubarium.apimachinery.field_path import FieldError, FieldPath, InOrder, invalid, required
from kubarium.apimachinery.object import Object

KIND = "EncryptionConfiguration"
VERSIONS = (f"{configuration.GROUP}/v1",)
AES_SIZES, BOX_SIZES = (16, 24, 32), (32,)
KEY_SIZES = {"aesgcm": AES_SIZES, "aescbc": AES_SIZES, "secretbox": BOX_SIZES}
PROVIDERS = ("kms", *KEY_SIZES, "identity")
KMS_SECONDS = 3.0
_NONE_OF_THEM = (
    "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
)
_SEVERAL = "more than one provider specified in a single element, should split into different list elements"
_NOT_REST = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")
_KEYS = {"keys": [{"name": None, "secret": None}]}
SHAPE = {
    "resources": [
        {
            "resources": None,
            "providers": [
                {
                    "kms": {"apiVersion": None, "name": None, "cachesize": None, "endpoint": None, "timeout": None},
                    "aesgcm": _KEYS, "aescbc": _KEYS, "secretbox": _KEYS, "identity": {},
                }
            ],
        }
    ]
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """One key of a provider."""

    name: str
    secret: bytes


@dataclass(frozen=True)
class Kms:
    """Where a key management service listens."""

    name: str
    endpoint: str
    seconds: float
    version: str


@dataclass(frozen=True)
class Provider:
    """One way to encrypt: `kind` is the field's name."""

    kind: str
    keys: Sequence[Key] = ()
    kms: Kms | None = None


@dataclass(frozen=True)
class Rule:
    """Resources as `secrets`, `*.apps` or `*.*`, and their providers; the first one writes."""

    resources: Sequence[str]
    providers: Sequence[Provider]


def load(path: str, reload: bool = False) -> list[Rule]:
    """What a file says. Raises ConfigurationError."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        why = f'error reading encryption provider configuration file "{path}": open {path}: '
        why += configuration.reason_of(error)
        raise ConfigurationError(f"error while parsing file: error while loading file: {why}") from None
    try:
        return read(_decoded(text, path), reload)
    except ConfigurationError as error:
        raise ConfigurationError(f"error while parsing file: {error}") from None


def _decoded(text: str, path: str) -> Object:
    if not text:
        why = f'encryption provider configuration file "{path}" is empty'
        raise ConfigurationError(f"error while loading file: {why}")
    try:
        return configuration.decode(_renamed(text), KIND, VERSIONS, SHAPE)
    except ConfigurationError as error:
        why = f'error decoding encryption provider configuration file "{path}": {error}'
        raise ConfigurationError(why) from None


def _renamed(text: str) -> str:
    """The kind had another name and no group once; upstream still takes it."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # which is found out again, and told
    if not isinstance(found, dict) or (found.get("kind"), found.get("apiVersion")) != (
        "EncryptionConfig",
        "v1",
    ):
        return text
    return yaml.safe_dump({**found, "kind": KIND, "apiVersion": VERSIONS[0]})


def read(document: Object, reload: bool = False) -> list[Rule]:
    """The rules of a document. Raises ConfigurationError."""
    configuration.refuse(list(_problems(document, reload)))
    return [
        Rule(tuple(rule["resources"]), tuple(_provider(provider) for provider in rule["providers"]))
        for rule in document["resources"]
    ]


def group_resource(text: str) -> tuple[str, str]:
    """`deployments.apps` as group and resource; `*.` is everything of the group without a name."""
    resource, _, group = text.partition(".")
    return group, resource


def _provider(provider: Object) -> Provider:
    kind = next(name for name in PROVIDERS if provider.get(name) is not None)
    found = provider[kind]
    if kind == "kms":
        kms = Kms(
            found["name"],
            found["endpoint"],
            configuration.seconds(found.get("timeout"), KMS_SECONDS),
            found.get("apiVersion") or "v1",
        )
        return Provider(kind, kms=kms)
    keys = [Key(key["name"], base64.b64decode(key["secret"])) for key in found.get("keys") or ()]
    return Provider(kind, tuple(keys))


# ------------------------------------------------------------------------------------------------ what is wrong


def _problems(document: Object, reload: bool) -> Iterator[FieldError]:
    root = FieldPath("resources")
    rules = document.get("resources") or []
    if not rules:
        yield required(root, "at least one resources is required")
    names: set[str] = set()
    for index, rule in enumerate(rules):
        resources, path = rule.get("resources") or [], root % index / "resources"
        if not resources:
            yield required(path, f"at least one {path} is required")
        yield from _overlaps(resources, path)
        for at, resource in enumerate(resources):
            if (detail := _wrong_with(resource)) is not None:
                yield invalid(path % at, resource, detail)
        providers, path = rule.get("providers") or [], root % index / "providers"
        if not providers:
            yield required(path, f"at least one {path} is required")
        for at, provider in enumerate(providers):
            yield from _provider_problems(provider, path % at, names, reload)


def _overlaps(resources: Sequence[str], path: FieldPath) -> Iterator[FieldError]:
    pairs = list(itertools.permutations(map(group_resource, resources), 2))
    if any(one == other for one, other in pairs):
        yield invalid(path, list(resources), "the same resource cannot be specified multiple times")
    if any(one != other and _covers(one, other) for one, other in pairs):
        text = (
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed"
        )
        yield invalid(path, list(resources), f"{text} as they will be masked")


def _covers(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one == ("*", "*") or (one[0] == other[0] and "*" in (one[1], other[1]))


def _wrong_with(resource: str) -> str | None:
    group, name = group_resource(resource)
    if resource != resource.lower():
        return "resource name should not contain capital letters"
    if resource == "*":
        return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
    if resource in _NOT_REST:
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        text = "'*.events.k8s.io' objects are stored using the 'events' API group in etcd."
        return f"{text} Use 'events' instead in the config file"
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == "*" and name != "*":
        return "encrypting the same resource across groups is not supported"
    return None


def _provider_problems(
    provider: Object, path: FieldPath, names: set[str], reload: bool
) -> Iterator[FieldError]:
    given = [name for name in PROVIDERS if provider.get(name) is not None]
    if len(given) != 1:
        yield invalid(path, _shown(provider), _SEVERAL if given else _NONE_OF_THEM)
        return
    kind = given[0]
    found = provider[kind]
    if kind == "kms":
        yield from _kms_problems(found, path / "kms", names, reload)
        names.add(found.get("name") or "")
    elif kind in KEY_SIZES:
        keys, path = found.get("keys") or [], path / kind / "keys"
        if not keys:
            yield required(path, "at least one keys is required")
        for at, key in enumerate(keys):
            yield from _key_problems(key, path % at, KEY_SIZES[kind])


def _shown(provider: Object) -> InOrder:
    """A provider as Go prints it, but for the secrets, which are nothing for a log."""
    found = InOrder()
    for name in ("AESGCM", "AESCBC", "Secretbox", "Identity", "KMS"):
        value = provider.get(name.lower())
        if value is not None and name.lower() in KEY_SIZES:
            keys = [InOrder(Name=key.get("name") or "", Secret="REDACTED") for key in value.get("keys") or ()]
            value = {"Keys": keys}
        found[name] = value
    return found


def _key_problems(key: Object, path: FieldPath, sizes: Sequence[int]) -> Iterator[FieldError]:
    if not key.get("name"):
        yield required(path / "name", "name is a mandatory field for a key")
    if not key.get("secret"):
        yield required(path / "secret", "secret is a mandatory field for a key")
        return
    try:
        secret = base64.b64decode(str(key["secret"]), validate=True)
    except (binascii.Error, ValueError):
        yield invalid(path / "secret", "REDACTED", "secrets must be base64 encoded")
        return
    if len(secret) not in sizes:
        expected = " ".join(map(str, sizes))
        text = f"secret is not of the expected length, got {len(secret)}, expected one of [{expected}]"
        yield invalid(path / "secret", "REDACTED", text)


def _kms_problems(kms: Object, path: FieldPath, names: set[str], reload: bool) -> Iterator[FieldError]:
    name, version = kms.get("name") or "", kms.get("apiVersion") or "v1"
    if not name:
        yield required(path / "name", "name is a mandatory field for a provider")
    if version != "v1" and ":" in name:
        yield invalid(path / "name", name, f"invalid KMS provider name {name}, must not contain ':'")
    if name in names and (reload or version != "v1"):
        yield invalid(path / "name", name, f"duplicate KMS provider name {name}, names must be unique")
    if configuration.seconds(kms.get("timeout"), KMS_SECONDS) <= 0:
        yield invalid(path / "timeout", kms["timeout"], "timeout should be a positive value")
    yield from _endpoint_problems(kms.get("endpoint") or "", path / "endpoint")
    size = kms.get("cachesize")
    if version != "v1" and size is not None:
        yield invalid(path / "cachesize", size, "cachesize is not supported in v2")
    if version == "v1" and size == 0:
        text = "cachesize should be a positive value, or negative to disable"
        yield invalid(path / "cachesize", size, text)
    if version not in ("v1", "v2"):
        # Upstream prints the field's name where the version was meant.
        text = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported"
        yield invalid(path / "apiVersion", version, text)


def _endpoint_problems(endpoint: str, path: FieldPath) -> Iterator[FieldError]:
    if not endpoint:
        yield invalid(path, "", "endpoint is a mandatory field for a kms")
    elif (scheme := urlsplit(endpoint).scheme) != "unix":
        yield invalid(
            path, endpoint, f'unsupported scheme "{scheme}" for KMS provider, only unix is supported'
        )
