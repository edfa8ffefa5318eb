"""Secret: data that is base64 on the wire, with the rules of each secret type.

Source: https://kubernetes.io/docs/concepts/configuration/secret/
"""

from __future__ import annotations

import base64
import binascii
import json

from kubarium.api.core.config_map import immutability_errors
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import ROOT, FieldError, immutable, invalid, required, too_long
from kubarium.apimachinery.object import Object, annotations_of

MAX_SIZE = 1024 * 1024
OPAQUE = "Opaque"
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
DOCKER_CONFIG_JSON = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG = "kubernetes.io/dockercfg"
BASIC_AUTH = "kubernetes.io/basic-auth"
SSH_AUTH = "kubernetes.io/ssh-auth"
TLS = "kubernetes.io/tls"

SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"

_REQUIRED_KEYS = {
    DOCKER_CONFIG_JSON: (".dockerconfigjson",),
    DOCKER_CONFIG: (".dockercfg",),
    SSH_AUTH: ("ssh-privatekey",),
    TLS: ("tls.crt", "tls.key"),
}


def fill_defaults(secret: Object) -> None:
    """The type is Opaque; `stringData` is write-only and becomes `data`."""
    secret.setdefault("type", OPAQUE)
    if not secret["type"]:
        secret["type"] = OPAQUE
    text = secret.pop("stringData", None)
    if text:
        data = secret.setdefault("data", {}) or {}
        data |= {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        secret["data"] = data


def validate(secret: Object) -> list[FieldError]:
    """Keys, size, and what the type demands."""
    found: list[FieldError] = []
    data = secret.get("data") or {}
    size = 0
    for key, value in data.items():
        found += [invalid((ROOT / "data").key(key), key, text) for text in names.config_key_errors(key)]
        size += len(value or "") * 3 // 4
    if size > MAX_SIZE:
        found.append(too_long(ROOT / "data", MAX_SIZE))
    kind = secret.get("type")
    for key in _REQUIRED_KEYS.get(kind or "", ()):
        if key not in data:
            found.append(required((ROOT / "data").key(key)))
    if kind == SERVICE_ACCOUNT_TOKEN and not annotations_of(secret).get(SERVICE_ACCOUNT_NAME):
        found.append(required((ROOT / "metadata" / "annotations").key(SERVICE_ACCOUNT_NAME)))
    if kind == BASIC_AUTH and not ("username" in data or "password" in data):
        found.append(required((ROOT / "data").key("username")))
        found.append(required((ROOT / "data").key("password")))
    if kind in (DOCKER_CONFIG_JSON, DOCKER_CONFIG):
        key = _REQUIRED_KEYS[kind][0]
        if key in data and not _is_json(data[key]):
            found.append(invalid((ROOT / "data").key(key), "<secret contents redacted>", "invalid character"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The type never changes."""
    return [
        *immutable(ROOT / "type", new.get("type"), old.get("type")),
        *immutability_errors(new, old, "data"),
        *validate(new),
    ]


def _is_json(encoded: str) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return False
    return True
