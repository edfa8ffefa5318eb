"""Which claims a pod mounts."""

from __future__ import annotations

from kubarium.apimachinery.object import Object, name_of, spec_of


def names_in(pod: Object) -> set[str]:
    """The names of the claims, those made for the pod included."""
    found = set()
    for volume in spec_of(pod).get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            found.add(volume["persistentVolumeClaim"].get("claimName") or "")
        elif volume.get("ephemeral"):
            found.add(f"{name_of(pod)}-{volume['name']}")
    return found
