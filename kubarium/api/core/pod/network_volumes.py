"""Older volumes that lie elsewhere: iSCSI, fibre channel, volumes of FlexVolume drivers."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required
from kubarium.apimachinery.object import Object

_NAME_FORMS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}
"""How initiators and targets are called (RFC 3720, 3.2.6)."""
MAX_ISCSI_NAME = 64
MAX_LUN = 255
_RESERVED = (".kubernetes.io", ".k8s.io")


def _initiator_errors(name: str, path: FieldPath) -> list[FieldError]:
    form = _NAME_FORMS.get(name[:3])
    if form is None:
        return [invalid(path, name, "must be valid format starting with iqn, eui, or naa")]
    return [] if form.search(name) else [invalid(path, name, "must be valid format")]


def _lun_errors(lun: int, path: FieldPath) -> list[FieldError]:
    return [] if 0 <= lun <= MAX_LUN else [invalid(path, lun, f"must be between 0 and {MAX_LUN}, inclusive")]


def _iscsi(source: Object, path: FieldPath) -> list[FieldError]:
    found = [] if source.get("targetPortal") else [required(path / "targetPortal")]
    if source.get("iqn"):
        found += _initiator_errors(source["iqn"], path / "iqn")
    else:
        found.append(required(path / "iqn"))
    found += _lun_errors(source.get("lun") or 0, path / "lun")
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        found.append(required(path / "secretRef"))
    if source.get("initiatorName") is not None:
        found += _initiator_errors(source["initiatorName"], path / "initiatorname")
    return found


def length_errors(volume: Object, path: FieldPath) -> list[FieldError]:
    """With an initiator of its own, the name of an interface is made of the volume's and the portal."""
    source, name = volume.get("iscsi") or {}, volume.get("name") or ""
    together = f"{name}:{source.get('targetPortal') or ''}"
    if source.get("initiatorName") is None or len(together) <= MAX_ISCSI_NAME:
        return []
    why = (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
        "if iscsi.initiatorName is specified."
    )
    return [invalid(path / "name", name, why)]


def _fibre_channel(source: Object, path: FieldPath) -> list[FieldError]:
    targets, ids, lun = source.get("targetWWNs") or [], source.get("wwids") or [], source.get("lun")
    if not targets and not ids:
        return [required(path / "targetWWNs", "must specify either targetWWNs or wwids, but not both")]
    found: list[FieldError] = []
    if targets and ids:
        why = "targetWWNs and wwids can not be specified simultaneously"
        found.append(invalid(path / "targetWWNs", targets, why))
    if targets and lun is None:
        found.append(required(path / "lun", "lun is required if targetWWNs is specified"))
    elif targets and lun is not None:
        found += _lun_errors(lun, path / "lun")
    return found


def _flex(source: Object, path: FieldPath) -> list[FieldError]:
    found = [] if source.get("driver") else [required(path / "driver")]
    why = "kubernetes.io and k8s.io namespaces are reserved"
    for key in source.get("options") or {}:
        if f".{key.partition('/')[0].lower()}".endswith(_RESERVED):
            found.append(invalid((path / "options").key(key), key, why))
    return found


CHECKS: dict[str, Callable[[Object, FieldPath], list[FieldError]]] = {
    "iscsi": _iscsi,
    "fc": _fibre_channel,
    "flexVolume": _flex,
}
