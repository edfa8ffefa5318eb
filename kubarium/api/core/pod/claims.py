"""Which claims a pod mounts."""

from __future__ import annotations

from kubarium.apimachinery.object import Object, name_of, spec_of


def names_in(pod: Object) -> set[str]:
    """The names of the claims, those made for the pod included."""
    return set(by_volume(pod).values())


def chosen_in(pod: Object) -> set[str]:
    """The names of the claims that the pod's maker chose."""
    chosen = [volume.get("persistentVolumeClaim") for volume in spec_of(pod).get("volumes") or []]
    return {one.get("claimName") or "" for one in chosen if one}


def by_volume(pod: Object) -> dict[str, str]:
    """For each volume of the pod that is a claim, the claim's name."""
    found = {}
    for volume in spec_of(pod).get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            found[volume["name"]] = volume["persistentVolumeClaim"].get("claimName") or ""
        elif volume.get("ephemeral"):
            found[volume["name"]] = f"{name_of(pod)}-{volume['name']}"
    return found
