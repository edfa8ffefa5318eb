"""Kinds of volumes that Kubernetes has given up, of pods and of persistent volumes alike.

The texts are upstream's (`pkg/api/pod/warnings.go`, `pkg/api/persistentvolume/util.go`).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery.object import Object

GIVEN_UP = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SHOWN = {"storageos": "storageOS"}  # upstream names the Go field here


def of_source(volume: Object, at: str) -> Iterator[str]:
    """For one volume of a pod, or the spec of a persistent one."""
    for field_name in volume:
        if field_name in GIVEN_UP:
            yield f"{at}.{_SHOWN.get(field_name, field_name)}: {GIVEN_UP[field_name]}"
