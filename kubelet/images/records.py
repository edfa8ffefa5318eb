"""Who may use an image that is already there: whoever could pull it.

Before a pull an intent is written, after it what was pulled and with whose login. A pod that wants a present image
must show the same secret or service account, or pull again with its own; images that were there before the kubelet
came are everybody's, unless the policy says otherwise. Files lie in `image_manager` in the kubelet's directory, so that
a restart forgets nothing.
Source: https://kubernetes.io/docs/concepts/containers/images/#ensureimagepullcredentialverification
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubelet import checkpoint
from kubelet.images import names
from kubelet.images.keyring import Login

log = logging.get(__name__)

VERSION = "kubelet.config.k8s.io/v1beta1"
COORDINATES = ("uid", "namespace", "name")


class PullRecords:
    """What was pulled, and with whose login."""

    def __init__(self, directory: Path, policy: str, allowed: Sequence[str] = ()) -> None:
        self._pulling = directory / "pulling"
        self._pulled = directory / "pulled"
        self._policy = policy
        self._allowed = allowed

    def intend(self, image: str) -> None:
        """A pull begins. A kubelet that dies meanwhile must not take the image for a preloaded one."""
        document = {"kind": "ImagePullIntent", "apiVersion": VERSION, "image": image}
        self._write(self._pulling / _file(image), document)

    def gave_up(self, image: str) -> None:
        """The pull failed."""
        (self._pulling / _file(image)).unlink(missing_ok=True)

    def pulled(self, image: str, reference: str, login: Login | None, now: datetime) -> None:
        """The pull succeeded with this login; with none, or the node's own, everybody may have the image."""
        if not reference:
            return
        place = self._pulled / _file(reference)
        record = _read(place) or {}
        mapping = record.setdefault("credentialMapping", {})
        mapping[names.repository_of(image)] = _merged(mapping.get(names.repository_of(image)) or {}, login)
        record |= {
            "kind": "ImagePulledRecord",
            "apiVersion": VERSION,
            "lastUpdatedTime": time.format_time(now),
            "imageRef": reference,
        }
        self._write(place, record)
        self.gave_up(image)

    def is_open(self, image: str, reference: str) -> bool:
        """May every pod of the node use the image as it is?"""
        record = self._record(reference)
        was_pulled = record is not None or (self._pulling / _file(image)).exists()
        if not self._is_verified(image, was_pulled):
            return True
        return bool(_entry(record, image).get("nodePodsAccessible"))

    def is_open_to(self, image: str, reference: str, logins: Iterable[Login]) -> bool:
        """May a pod with these logins? An image that came under another name counts as not there."""
        entry = _entry(self._record(reference), image)
        return any(_knows(entry, login) for login in logins)

    def _record(self, reference: str) -> dict[str, Any] | None:
        return _read(self._pulled / _file(reference))

    def _is_verified(self, image: str, was_pulled: bool) -> bool:
        match self._policy:
            case "NeverVerify":
                return False
            case "NeverVerifyPreloadedImages":
                return was_pulled
            case "NeverVerifyAllowlistedImages":
                return was_pulled or not self._is_allowed(image)
        return True

    def _is_allowed(self, image: str) -> bool:
        repository = names.repository_of(image)
        return any(
            repository == names.repository_of(rule)
            if not rule.endswith("/*")
            else repository.startswith(rule[:-1])
            for rule in self._allowed
        )

    def forget(self, reference: str) -> None:
        """The image was removed."""
        (self._pulled / _file(reference)).unlink(missing_ok=True)

    @staticmethod
    def _write(place: Path, document: Object) -> None:
        try:
            checkpoint.write(place, document)
        except OSError as error:
            log.warning("record of an image pull not written: %s", error)


def _file(key: str) -> str:
    return f"sha256-{hashlib.sha256(key.encode()).hexdigest()}"


def _read(place: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = orjson.loads(place.read_bytes())
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("record of an image pull not read: %s", error)
        return None


def _entry(record: dict[str, Any] | None, image: str) -> dict[str, Any]:
    """What is known of the image under this name."""
    found: dict[str, Any] = ((record or {}).get("credentialMapping") or {}).get(
        names.repository_of(image)
    ) or {}
    return found


def _merged(entry: dict[str, Any], login: Login | None) -> dict[str, Any]:
    """One more login by which the image can be had."""
    if entry.get("nodePodsAccessible"):
        return entry
    if login is None or (login.source.secret is None and login.source.account is None):
        return {"nodePodsAccessible": True}
    if login.source.secret is not None:
        one = {**dict(zip(COORDINATES, login.source.secret, strict=True)), "credentialHash": login.hash}
        others = [
            other
            for other in entry.get("kubernetesSecrets") or []
            if tuple(other[key] for key in COORDINATES) != login.source.secret
        ]
        return {**entry, "kubernetesSecrets": [*others, one]}
    assert login.source.account is not None
    account = dict(zip(COORDINATES, login.source.account, strict=True))
    known = entry.get("kubernetesServiceAccounts") or []
    return {**entry, "kubernetesServiceAccounts": known if account in known else [*known, account]}


def _knows(entry: dict[str, Any], login: Login) -> bool:
    """Is this one of the logins? A secret is known by what it says, wherever it lies now."""
    if login.source.account is not None:
        account = dict(zip(COORDINATES, login.source.account, strict=True))
        return account in (entry.get("kubernetesServiceAccounts") or [])
    return any(one.get("credentialHash") == login.hash for one in entry.get("kubernetesSecrets") or [])
