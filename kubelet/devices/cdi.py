"""The Container Device Interface for runtimes that do not know it: names of devices -> edits of a container.

    vendor.com/class=name ──▶ the specification of that kind in /etc/cdi or /var/run/cdi ──▶ its containerEdits
Hooks cannot be done from here. Source: https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from kubarium.component_base import logging
from kubelet.devices import edits
from kubelet.devices.edits import Edits

log = logging.get(__name__)

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))  # what stands in the second wins


class UnknownDevice(Exception):
    """No specification knows the device."""


def resolve(names: Sequence[str], folders: Sequence[Path] = FOLDERS) -> Edits:
    """The edits of all devices. Raises UnknownDevice."""
    if not names:
        return Edits()
    known: dict[str, list[Any]] = {}
    for specification in _specifications(folders):
        shared = specification.get("containerEdits") or {}
        for device in specification.get("devices") or []:
            known[f"{specification.get('kind')}={device.get('name')}"] = [
                shared,
                device.get("containerEdits") or {},
            ]
    missing = [name for name in names if name not in known]
    if missing:
        raise UnknownDevice(f"unresolvable CDI devices {', '.join(missing)}")
    return edits.merged(_edits(part) for name in names for part in known[name])


def _specifications(folders: Sequence[Path]) -> Iterable[dict[str, Any]]:
    for folder in folders:
        for file in sorted([*folder.glob("*.json"), *folder.glob("*.yaml")]):
            try:
                content = file.read_bytes()
                found = orjson.loads(content) if file.suffix == ".json" else yaml.safe_load(content)
            except (OSError, ValueError, yaml.YAMLError) as error:
                log.warning("CDI specification %s not read: %s", file, error)
                continue
            if isinstance(found, dict):
                yield found


def _edits(found: dict[str, Any]) -> Edits:
    if found.get("hooks"):
        log.warning("CDI hooks are left out: the container runtime does not know CDI")
    pairs = (text.partition("=") for text in found.get("env") or [])
    return Edits(
        environment={name: value for name, _, value in pairs},
        mounts=tuple(
            {
                "container_path": one["containerPath"],
                "host_path": one["hostPath"],
                "readonly": "ro" in (one.get("options") or []),
            }
            for one in found.get("mounts") or []
        ),
        devices=tuple(
            {
                "container_path": one["path"],
                "host_path": one.get("hostPath") or one["path"],
                "permissions": one.get("permissions") or "rwm",
            }
            for one in found.get("deviceNodes") or []
        ),
        groups=tuple(found.get("additionalGIDs") or ()),
    )
