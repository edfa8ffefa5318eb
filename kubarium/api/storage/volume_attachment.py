"""VolumeAttachment: this volume is wanted at that node."""

from __future__ import annotations

from kubarium.api.storage.csi import driver_name
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    STATUS,
    FieldError,
    FieldPath,
    forbidden,
    immutable,
    required,
    too_long,
)
from kubarium.apimachinery.object import Object

_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
MAX_ERROR = 262144  # bytes of a driver's complaint


def validate(attachment: Object) -> list[FieldError]:
    """A driver, a node and one volume."""
    spec = attachment.get("spec") or {}
    return [
        *driver_name(SPEC / "attacher", spec.get("attacher")),
        *_source(spec.get("source") or {}, SPEC / "source"),
        *rules.if_given(SPEC / "nodeName", spec.get("nodeName") or "", names.dns_subdomain_errors),
        *_status_errors(attachment),
    ]


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The wish stays as it was."""
    return [*validate(new), *immutable(SPEC, new.get("spec"), old.get("spec"))]


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """What the driver says is not too long."""
    return _status_errors(new)


def _source(source: Object, path: FieldPath) -> list[FieldError]:
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and name is None:
        return [required(path, _ONE_SOURCE)]
    if inline is not None and name is not None:
        return [forbidden(path, _ONE_SOURCE)]
    at = path / "persistentVolumeName"
    found = (
        [required(at, "must specify non empty persistentVolumeName")] if inline is None and not name else []
    )
    return [*found, *rules.if_given(at, name, names.dns_subdomain_errors)]


def _status_errors(attachment: Object) -> list[FieldError]:
    status = attachment.get("status") or {}
    found = rules.parameters(STATUS / "attachmentMetadata", status.get("attachmentMetadata") or {})
    for field in ("attachError", "detachError"):
        if len((status.get(field) or {}).get("message") or "") > MAX_ERROR:
            found.append(too_long(STATUS / field / "message", MAX_ERROR))
    return found
