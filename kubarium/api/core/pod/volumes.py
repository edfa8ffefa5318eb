"""The volumes of a pod: every one has a name and exactly one source."""

from __future__ import annotations

from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip


def source_of(volume: Object) -> tuple[str, Object]:
    """Which kind of volume it is, and its settings."""
    return next(((kind, volume[kind] or {}) for kind in volume if kind != "name"), ("", {}))


def validate_volumes(volumes: list[Object], path: FieldPath) -> tuple[list[FieldError], set[str]]:
    """The errors, and the names that containers may mount."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at = path % index
        found += _validate_sources(volume, at)
        name = volume.get("name") or ""
        if not name:
            found.append(required(at / "name"))
            continue
        found += [invalid(at / "name", name, text) for text in names.dns_label_errors(name)]
        if name in seen:
            found.append(duplicate(at / "name", name))
        seen.add(name)
    return found, seen


def _validate_sources(volume: Object, path: FieldPath) -> list[FieldError]:
    sources = [kind for kind in volume if kind != "name" and volume[kind] is not None]
    if not sources:
        return [required(path, "must specify a volume type")]
    found = [forbidden(path / kind, "may not specify more than 1 volume type") for kind in sources[1:]]
    kind = sources[0]
    check = _CHECKS.get(kind)
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
        mode = item.get("mode")
        if mode is not None and not 0 <= mode <= 0o777:
            what = "must be a number between 0 and 0777 (octal), both inclusive"
            found.append(invalid(at / "mode", mode, what))
    return found


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
    found = _mode(source, path)
    for index, item in enumerate(source.get("items") or []):
        found += _local_path(item.get("path") or "", path / "items" % index / "path")
    return found


def _projected(source: Object, path: FieldPath) -> list[FieldError]:
    found = _mode(source, path)
    for index, part in enumerate(source.get("sources") or []):
        at = path / "sources" % index
        given = [kind for kind in part if part[kind] is not None]
        if not given:
            found.append(required(at, "must specify one of: ..."))
        found += [forbidden(at / kind, "may not specify more than 1 volume type") for kind in given[1:]]
        token = part.get("serviceAccountToken")
        if token is not None:
            found += _token(token, at / "serviceAccountToken")
        for kind in ("secret", "configMap"):
            if part.get(kind) is not None and not part[kind].get("name"):
                found.append(required(at / kind / "name"))
    return found


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
    if not token.get("path"):
        found.append(required(path / "path"))
    return found


_CHECKS = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward,
    "projected": _projected,
}
