"""The volumes of a pod: every one has a name and exactly one source."""

from __future__ import annotations

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import network_volumes
from kubarium.api.core.pod.source_validation import FILE_FIELDS, validate_field_ref, validate_resource_ref
from kubarium.api.storage.csi import driver_name
from kubarium.apimachinery import names, quantity, rules
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_annotations, validate_labels
from kubarium.apimachinery.object import Object

HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip


def validate_volumes(volumes: list[Object], path: FieldPath) -> tuple[list[FieldError], set[str]]:
    """The errors, and the names that containers may mount."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at = path % index
        name = volume.get("name") or ""
        problems = _validate_sources(volume, at)
        if not name:
            problems.append(required(at / "name"))
        else:
            problems += [invalid(at / "name", name, text) for text in names.dns_label_errors(name)]
        if name and name in seen:
            problems.append(duplicate(at / "name", name))
        if not problems:
            seen.add(name)  # a volume that is wrong cannot be mounted either
        found += problems
    return found, seen


def _validate_sources(volume: Object, path: FieldPath) -> list[FieldError]:
    sources = [kind for kind in volume if kind != "name" and volume[kind] is not None]
    if not sources:
        return [required(path, "must specify a volume type")]
    found = [forbidden(path / kind, "may not specify more than 1 volume type") for kind in sources[1:]]
    kind = sources[0]
    check = _CHECKS.get(kind) or network_volumes.CHECKS.get(kind)
    if kind == "iscsi":
        found += network_volumes.length_errors(volume, path)
    return found + (check(volume[kind], path / kind) if check else [])


def _empty_dir(source: Object, path: FieldPath) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.milli_value(limit) < 0:
        return [forbidden(path / "sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path(source: Object, path: FieldPath) -> list[FieldError]:
    where = source.get("path") or ""
    if not where:
        return [required(path / "path")]
    found: list[FieldError] = []
    if ".." in where.split("/"):
        found.append(invalid(path / "path", where, "must not contain '..'"))
    kind = source.get("type") or ""
    if kind not in HOST_PATH_TYPES:
        found.append(not_supported(path / "type", kind, HOST_PATH_TYPES))
    return found


def _mode(source: Object, path: FieldPath) -> list[FieldError]:
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        what = "must be a number between 0 and 0777 (octal), both inclusive"
        return [invalid(path / "defaultMode", mode, what)]
    return []


def _items(source: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, item in enumerate(source.get("items") or []):
        at = path / "items" % index
        if not item.get("key"):
            found.append(required(at / "key"))
        found += _local_path(item.get("path") or "", at / "path")
        found += _item_mode(item, at)
    return found


def _item_mode(item: Object, path: FieldPath) -> list[FieldError]:
    mode = item.get("mode")
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [invalid(path / "mode", mode, "must be a number between 0 and 0777 (octal), both inclusive")]


def _local_path(where: str, path: FieldPath) -> list[FieldError]:
    if not where:
        return [required(path)]
    if where.startswith("/"):
        return [invalid(path, where, "must be a relative path")]
    if ".." in where.split("/"):
        return [invalid(path, where, "must not contain '..'")]
    if where.startswith(".."):
        return [invalid(path, where, "must not start with '..'")]
    return []


def _secret(source: Object, path: FieldPath) -> list[FieldError]:
    found = [] if source.get("secretName") else [required(path / "secretName")]
    return [*found, *_mode(source, path), *_items(source, path)]


def _config_map(source: Object, path: FieldPath) -> list[FieldError]:
    found = [] if source.get("name") else [required(path / "name")]
    return [*found, *_mode(source, path), *_items(source, path)]


def _claim(source: Object, path: FieldPath) -> list[FieldError]:
    return [] if source.get("claimName") else [required(path / "claimName")]


def _downward(source: Object, path: FieldPath) -> list[FieldError]:
    return [*_mode(source, path), *_downward_items(source.get("items") or [], path)]


def _downward_items(items: list[Object], path: FieldPath) -> list[FieldError]:
    """Upstream does not say of which item."""
    found: list[FieldError] = []
    for item in items:
        at = path
        found += _local_path(item.get("path") or "", at / "path")
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None and resource is not None:
            why = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(invalid(at, "resource", why))
        elif field is not None:
            found += validate_field_ref(field, at / "fieldRef", FILE_FIELDS)
        elif resource is not None:
            found += validate_resource_ref(resource, at / "resourceFieldRef", in_volume=True)
        else:
            found.append(required(at, "one of fieldRef and resourceFieldRef is required"))
        found += _item_mode(item, at)
    return found


def _projected(source: Object, path: FieldPath) -> list[FieldError]:
    found = _mode(source, path)
    taken: set[str] = set()
    for index, part in enumerate(source.get("sources") or []):
        at = path / "sources" % index
        given = [kind for kind in part if part[kind] is not None]
        for kind in given:
            found += _part(kind, part[kind], at / kind)
            if kind == "serviceAccountToken" and not part[kind].get("path"):
                found.append(required(path / "path"))  # upstream forgets where
            for where in _paths(kind, part[kind]):
                if where in taken:
                    shown = where if kind == "downwardAPI" else part[kind].get("name") or where
                    found.append(invalid(path, shown, "conflicting duplicate paths"))
                taken.add(where)
        if len(given) > 1:
            found.append(forbidden(at, "may not specify more than 1 volume type"))
    return found


def _paths(kind: str, part: Object) -> list[str]:
    """Where a part of a projected volume certainly puts files."""
    if kind in ("serviceAccountToken", "clusterTrustBundle"):
        return [part["path"]] if part.get("path") else []
    return [item["path"] for item in part.get("items") or [] if item.get("path")]


def _part(kind: str, part: Object, path: FieldPath) -> list[FieldError]:
    if kind == "serviceAccountToken":
        return _token(part, path)
    if kind == "downwardAPI":
        return _downward_items(part.get("items") or [], path)
    if kind in ("secret", "configMap"):
        found = [] if part.get("name") else [required(path / "name")]
        return found + _items(part, path)
    if kind == "clusterTrustBundle":
        return _local_path(part.get("path") or "", path / "path")
    return []


def _token(token: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seconds = token.get("expirationSeconds") or 0
    if seconds < 600:
        found.append(
            invalid(path / "expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        )
    elif seconds > 2**32:
        found.append(
            invalid(
                path / "expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
            )
        )
    return found


def _nfs(source: Object, path: FieldPath) -> list[FieldError]:
    found = [required(path / field) for field in ("server", "path") if not source.get(field)]
    if not (source.get("path") or "").startswith("/"):
        found.append(invalid(path / "path", source.get("path") or "", "must be an absolute path"))
    return found


def _csi(source: Object, path: FieldPath) -> list[FieldError]:
    found = driver_name(path / "driver", source.get("driver"))
    reference = source.get("nodePublishSecretRef")
    if reference is None:
        return found
    if not reference.get("name"):
        return [*found, required(path / "nodePublishSecretRef" / "name")]
    return found + rules.if_named(path / "name", reference["name"], names.dns_subdomain_errors)


def _ephemeral(source: Object, path: FieldPath) -> list[FieldError]:
    at = path / "volumeClaimTemplate"
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(at)]
    metadata = template.get("metadata") or {}
    return [
        *validate_annotations(metadata.get("annotations"), at / "metadata" / "annotations"),
        *validate_labels(metadata.get("labels"), at / "metadata" / "labels"),
        *persistent_volume_claim.validate_spec(template.get("spec") or {}, at / "spec"),
    ]


def _image(source: Object, path: FieldPath) -> list[FieldError]:
    policies = ("Always", "IfNotPresent", "Never")
    return rules.if_one_of(path / "pullPolicy", source.get("pullPolicy") or None, policies)


_CHECKS = {
    "csi": _csi,
    "emptyDir": _empty_dir,
    "ephemeral": _ephemeral,
    "hostPath": _host_path,
    "image": _image,
    "nfs": _nfs,
    "secret": _secret,
    "configMap": _config_map,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward,
    "projected": _projected,
}
