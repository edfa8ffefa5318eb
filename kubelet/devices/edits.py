"""What devices add to a container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Edits:
    """In the runtime's words; `cdi` are names that the runtime looks up itself."""

    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mapping[str, Any], ...] = ()
    devices: tuple[Mapping[str, str], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()


def merged(parts: Iterable[Edits]) -> Edits:
    """All of them; what is said twice is said once."""
    environment: dict[str, str] = {}
    annotations: dict[str, str] = {}
    mounts: dict[str, Mapping[str, Any]] = {}
    devices: dict[str, Mapping[str, str]] = {}
    cdi: dict[str, None] = {}
    groups: dict[int, None] = {}
    for part in parts:
        environment |= part.environment
        annotations |= part.annotations
        mounts |= {str(one["container_path"]): one for one in part.mounts}
        devices |= {one["container_path"]: one for one in part.devices}
        cdi |= dict.fromkeys(part.cdi)
        groups |= dict.fromkeys(part.groups)
    return Edits(
        environment, tuple(mounts.values()), tuple(devices.values()), annotations, tuple(cdi), tuple(groups)
    )


def as_dict(edits: Edits) -> dict[str, Any]:
    """For the file that outlives the kubelet."""
    return {
        "environment": dict(edits.environment),
        "mounts": [dict(one) for one in edits.mounts],
        "devices": [dict(one) for one in edits.devices],
        "annotations": dict(edits.annotations),
        "cdi": list(edits.cdi),
    }


def from_dict(found: Mapping[str, Any]) -> Edits:
    """The same back again."""
    return Edits(
        environment=found.get("environment") or {},
        mounts=tuple(found.get("mounts") or ()),
        devices=tuple(found.get("devices") or ()),
        annotations=found.get("annotations") or {},
        cdi=tuple(found.get("cdi") or ()),
    )
