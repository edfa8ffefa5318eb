"""CSIDriver: what a storage driver can do."""

from __future__ import annotations

from kubarium.apimachinery.object import Object

_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "volumeLifecycleModes": ["Persistent"],
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def fill_defaults(driver: Object) -> None:
    """Volumes are attached, persistent, and get their group when they have a file system."""
    spec = driver.setdefault("spec", {})
    for field, value in _DEFAULTS.items():
        if spec.get(field) is None:
            spec[field] = value.copy() if isinstance(value, list) else value
