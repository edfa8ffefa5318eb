"""`ControllerRevision`: a stored template, for rollback."""

from __future__ import annotations

import hashlib

import orjson

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import ROOT, FieldError, immutable, required
from kubarium.apimachinery.object import Object, annotations_of, copy, name_of, namespace_of

HASH_LABEL = "controller.kubernetes.io/hash"
REVISION_LABEL = "controller-revision-hash"
"""Label on a pod (and on DaemonSet revisions): which revision it was made from."""

NOT_COPIED = "kubectl.kubernetes.io/last-applied-configuration"


def validate(revision: Object) -> list[FieldError]:
    """Data, and a number of at least 0."""
    found = [] if revision.get("data") is not None else [required(ROOT / "data", "data is mandatory")]
    return [*found, *rules.not_negative(revision, ROOT, "revision")]


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The data stays."""
    return [*validate(new), *immutable(ROOT / "data", new.get("data"), old.get("data"))]


def new(
    owner: Object,
    reference: Object,
    data: Object,
    number: int,
    labels: dict[str, str],
    collisions: int,
    hash_label: str = HASH_LABEL,
) -> Object:
    """A revision that holds `data`, owned by `owner`."""
    digest = data_hash(data, collisions)
    annotations = {key: value for key, value in annotations_of(owner).items() if key != NOT_COPIED}
    metadata: Object = {
        "name": f"{name_of(owner)[:223]}-{digest}",
        "namespace": namespace_of(owner),
        "labels": {**labels, hash_label: digest},
        "ownerReferences": [reference],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": _in_order(data),
        "revision": number,
    }


def _in_order(data: Object) -> Object:
    """With sorted keys, as Go writes maps: clients compare the bytes of a revision with those they would write."""
    found: Object = orjson.loads(orjson.dumps(data, option=orjson.OPT_SORT_KEYS))
    return found


def renamed(revision: Object, owner_name: str, collisions: int, hash_label: str = HASH_LABEL) -> Object:
    """The same revision under the name that follows from this number of collisions."""
    digest = data_hash(revision["data"], collisions)
    found = copy(revision)
    found["metadata"]["name"] = f"{owner_name[:223]}-{digest}"
    found["metadata"]["labels"][hash_label] = digest
    return found


def data_hash(data: Object, collisions: int) -> str:
    """A short name for the content."""
    digest = hashlib.blake2s(orjson.dumps(data, option=orjson.OPT_SORT_KEYS), digest_size=4)
    if collisions:
        digest.update(str(collisions).encode())
    return names.safe_encode(str(int.from_bytes(digest.digest(), "big")))


def same_data(one: Object, other: Object) -> bool:
    """Do two revisions hold the same template?"""
    return bool(one.get("data") == other.get("data"))
