"""What the metadata of any object may look like, and what of it may change. Upstream: `ValidateObjectMeta`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kubarium.apimachinery import names
from kubarium.apimachinery.apply import sent_entries
from kubarium.apimachinery.field_path import (
    METADATA,
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    required,
    too_long,
)
from kubarium.apimachinery.object import Object

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values together
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_IMMUTABLE = ("name", "namespace", *_KEPT)


def errors_of(
    metadata: Object,
    *,
    namespaced: bool,
    name_errors: Callable[[str], list[str]],
    finalizers_with_domain: bool = True,
) -> list[FieldError]:
    """Everything that is wrong with the metadata of a new object."""
    found: list[FieldError] = []
    generate_name = metadata.get("generateName")
    if generate_name:
        # The suffix would end in a letter or digit, so that a dash at the end of the base is fine.
        base = generate_name[:-1] + "a" if generate_name.endswith("-") else generate_name
        found += [invalid(METADATA / "generateName", generate_name, text) for text in name_errors(base)]
    name = metadata.get("name")
    if not name:
        found.append(required(METADATA / "name", "name or generateName is required"))
    else:
        found += [invalid(METADATA / "name", name, text) for text in name_errors(name)]
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            found.append(required(METADATA / "namespace"))
        else:
            found += [
                invalid(METADATA / "namespace", namespace, text) for text in names.dns_label_errors(namespace)
            ]
    elif namespace:
        found.append(forbidden(METADATA / "namespace", "not allowed on this type"))
    return found + _common_errors(metadata, finalizers_with_domain)


def _common_errors(metadata: Object, finalizers_with_domain: bool) -> list[FieldError]:
    found: list[FieldError] = []
    generation = metadata.get("generation")
    if generation is not None and generation < 0:
        text = "must be greater than or equal to 0"
        found.append(invalid(METADATA / "generation", generation, text))
    if labels := metadata.get("labels"):
        found += label_errors(labels, METADATA / "labels")
    if annotations := metadata.get("annotations"):
        found += annotation_errors(annotations, METADATA / "annotations")
    if owners := metadata.get("ownerReferences"):
        found += owner_errors(owners, METADATA / "ownerReferences")
    if finalizers := metadata.get("finalizers"):
        found += finalizer_errors(finalizers, METADATA / "finalizers", finalizers_with_domain)
    return found + sent_entries.errors_of(metadata.get("managedFields") or ())


_known_labels: set[tuple[str, str]] = set()  # pairs found right; most objects carry the same few labels
_KNOWN_LABELS_LIMIT = 20_000


def label_errors(labels: Object, path: FieldPath) -> list[FieldError]:
    """Keys are qualified names, values short and plain."""
    found: list[FieldError] = []
    for key, value in labels.items():
        if (key, value) in _known_labels:
            continue
        problems = [invalid(path, key, text) for text in names.qualified_name_errors(key)]
        problems += [invalid(path, value, text) for text in names.label_value_errors(value)]
        if not problems and len(_known_labels) < _KNOWN_LABELS_LIMIT:
            _known_labels.add((key, value))
        found += problems
    return found


def annotation_errors(annotations: Object, path: FieldPath) -> list[FieldError]:
    """Keys are qualified names, values anything, together not too large."""
    found: list[FieldError] = []
    total = 0
    for key, value in annotations.items():
        found += [invalid(path, key, text) for text in names.qualified_name_errors(key.lower())]
        total += len(key) + (len(value) if value.isascii() else len(value.encode()))
    if total > ANNOTATIONS_LIMIT:
        found.append(too_long(path, ANNOTATIONS_LIMIT))
    return found


def owner_errors(owners: list[Object], path: FieldPath) -> list[FieldError]:
    """Each reference is whole; at most one is the controller."""
    found: list[FieldError] = []
    controller = ""
    for owner in owners:
        version = (owner.get("apiVersion") or "").rpartition("/")[2]
        if not version:
            found.append(invalid(path / "apiVersion", version, "version must not be empty"))
        for field_name in ("kind", "name", "uid"):
            if not owner.get(field_name):
                found.append(invalid(path / field_name, "", "must not be empty"))
        if owner.get("apiVersion") == "v1" and owner.get("kind") == "Event":
            found.append(invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            named = f"{owner.get('kind') or ''}/{owner.get('name') or ''}"
            if controller:
                text = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {named}"
                )
                found.append(invalid(path, owners, text))
            controller = controller or named
    return found


def drop_repeated_owners(metadata: Object) -> list[str]:
    """Keep each owner once; the uids of those that stood there again."""
    owners = metadata.get("ownerReferences") or []
    if len(owners) < 2:
        return []
    kept: list[Object] = []
    repeated = []
    for owner in owners:
        if owner in kept:
            repeated.append(owner.get("uid") or "")
        else:
            kept.append(owner)
    if repeated:
        metadata["ownerReferences"] = kept
    return repeated


def keep_managed_fields(metadata: Object, other: Object) -> None:
    """Take the managed fields of another object's metadata."""
    if other.get("managedFields"):
        metadata["managedFields"] = other["managedFields"]
    else:
        metadata.pop("managedFields", None)


def finalizer_errors(finalizers: list[str], path: FieldPath, with_domain: bool = True) -> list[FieldError]:
    """Qualified names, mostly with a domain; the two standard deletion modes exclude each other.

    Upstream asks for a domain only where a kind is validated with the core group's rules (`ValidateObjectMeta` of
    pkg/apis/core/validation), not where it is with those of any API server (k8s.io/apimachinery).
    """
    found = [
        invalid(path, name, text) for name in finalizers for text in names.qualified_name_errors(name or "")
    ]
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        text = f"finalizer {FOREGROUND} and {ORPHAN} cannot be both set"
        found.append(invalid(path, finalizers, text))
    if with_domain:
        for index, name in enumerate(finalizers):
            found += domain_errors(name or "", path % index)
    return found


def domain_errors(finalizer: str, path: FieldPath) -> list[FieldError]:
    """A finalizer has a domain unless it is one of Kubernetes' own."""
    if "/" in finalizer or finalizer in STANDARD_FINALIZERS:
        return []
    return [invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")]


def carry_over(new: Object, old: Object) -> None:
    """Fill in what an update may leave out."""
    for field_name in _KEPT:
        if field_name in old and (new.get(field_name) is None or field_name == "creationTimestamp"):
            new[field_name] = old[field_name]
    new.pop("selfLink", None)


def update_errors(new: Object, old: Object, *, finalizers_with_domain: bool = True) -> list[FieldError]:
    """What an update does to the metadata that it must not do. `carry_over` ran before."""
    found: list[FieldError] = []
    if old.get("deletionTimestamp") and (more := new.get("finalizers")):
        added = [name for name in more if name not in (old.get("finalizers") or ())]
        if added:
            shown = "{" + ", ".join(json.dumps(name) for name in added) + "}"
            text = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{shown}"
            )
            found.append(forbidden(METADATA / "finalizers", text))
    if (new.get("generation") or 0) < (old.get("generation") or 0):
        found.append(invalid(METADATA / "generation", new.get("generation") or 0, "must not be decremented"))
    for field_name in _IMMUTABLE:
        if _or_none(new.get(field_name)) != _or_none(old.get(field_name)):
            found.append(invalid(METADATA / field_name, new.get(field_name), "field is immutable"))
    if new.get("labels") is not old.get("labels") or new.get("annotations") is not old.get("annotations"):
        found += _common_errors(new, finalizers_with_domain)
    elif new.get("managedFields") != old.get("managedFields"):
        found += sent_entries.errors_of(new.get("managedFields") or ())
    return found


def _or_none(value: Any) -> Any:
    return None if value == "" else value
