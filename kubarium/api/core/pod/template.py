"""Pods made from a template: what a controller puts into a new pod, and the hash that names a template."""

from __future__ import annotations

import hashlib

import orjson

from kubarium.apimachinery import names
from kubarium.apimachinery.object import Object, copy

POD_TEMPLATE_HASH = "pod-template-hash"
"""Label by which a Deployment tells the pods of its ReplicaSets apart."""


def pod_from(template: Object, owner_reference: Object | None, generate_name: str) -> Object:
    """A new pod with the template's labels, annotations, finalizers and spec."""
    source = copy(template)
    metadata = source.get("metadata") or {}
    fresh: Object = {"generateName": generate_name}
    fresh |= {key: metadata[key] for key in ("labels", "annotations", "finalizers") if metadata.get(key)}
    if owner_reference is not None:
        fresh["ownerReferences"] = [owner_reference]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": fresh, "spec": source.get("spec") or {}}


def generate_name_for(owner: str) -> str:
    """`web-` for a controller named `web`; the bare name where the dash would make it invalid."""
    prefix = f"{owner}-"
    return prefix if len(prefix) <= 253 and not names.dns_subdomain_errors(f"{prefix}a") else owner


def template_hash(template: Object, collisions: int | None = None) -> str:
    """A short name for the content of a template, safe in labels and names.

    Equal templates give equal names; `collisions` makes another name when the first one is taken.
    """
    digest = hashlib.blake2s(orjson.dumps(template, option=orjson.OPT_SORT_KEYS), digest_size=4)
    if collisions is not None:
        digest.update(str(collisions).encode())
    return names.safe_encode(str(int.from_bytes(digest.digest(), "big")))


def same_template(one: Object, other: Object) -> bool:
    """Do two templates ask for the same pods? The hash label does not count, absent and null are the same."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Object) -> object:
    found = {key: value for key, value in template.items() if key != "metadata"}
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != POD_TEMPLATE_HASH}
    return _without_empty({**found, "metadata": {**metadata, "labels": labels}})


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        cleaned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None and item not in ({}, [])}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
