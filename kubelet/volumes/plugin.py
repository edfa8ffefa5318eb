"""What every kind of volume offers, and what it is given.

A volume is the pod's own entry in `spec.volumes`; for a claim it is what stands behind it:

    {"name": <of the persistent volume>, <kind>: <its source>, "mountOptions": [...], "readOnly": <by the claim's user>,
     "persistentVolume": <the object>, "claim": <the object>}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubarium.apimachinery.object import Object


class VolumeError(Exception):
    """The volume cannot be set up now; the text goes into the event FailedMount."""

    def __init__(self, text: str, operation: str = "MountVolume.SetUp") -> None:
        super().__init__(text)
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Mounted:
    """Where the volume lies on the node (or which image it is, or which device)."""

    path: str = ""
    read_only: bool = False
    image: str = ""
    device: str = ""
    mappable: bool = True  # can its files be those of a pod's own users?


class VolumeHost(Protocol):
    """What volumes may ask of the kubelet."""

    async def fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        """A ConfigMap, Secret, PersistentVolumeClaim or PersistentVolume; None when it does not exist."""
        ...

    async def attachment(self, name: str) -> Object | None:
        """A VolumeAttachment as it is now."""
        ...

    async def resized(self, claim: Object, status: Object) -> None:
        """Write into a claim's status how large its volume is."""
        ...

    async def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A token of the pod's service account, bound to the pod."""
        ...

    async def token_status(self, pod: Object, audience: str, seconds: int) -> Object:
        """The same with the time when it expires."""
        ...

    def csi_driver(self, name: str) -> Object | None:
        """What the cluster was told of a driver. Raises VolumeError while that is not known."""
        ...

    async def told_in_use(self, volumes: Sequence[str]) -> None:
        """Returns when the node's status lists these volumes, so that nobody takes them away."""
        ...

    def in_use_changed(self) -> None:
        """Volumes are in use that were not, or the other way round: the node's status should say so."""
        ...

    def node(self) -> Object:
        """This node's object."""
        ...

    def allocatable(self) -> Mapping[str, Any]:
        """What the node offers to pods."""
        ...

    def host_ips(self) -> Sequence[str]:
        """The node's addresses."""
        ...


class Plugin(Protocol):
    """One kind of volume. `set_up` is repeated at every sync of the pod and must be idempotent."""

    name: str
    """The directory's name: `kubernetes.io~<name>`."""

    def supports(self, volume: Object) -> bool:
        """Is this volume of my kind?"""
        ...

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        """Make or refresh the volume. Raises VolumeError."""
        ...

    async def pulled(self, image: str, directory: Path) -> Mounted:
        """The image that the volume shows is on the node now; only for volumes of images. Raises VolumeError."""
        raise VolumeError(f"{image} is no volume of this kind")

    async def tear_down(self, directory: Path) -> None:
        """Undo everything that lies in the directory. Raises VolumeError: it is tried again."""
        ...

    def forget(self, pod_uid: str) -> None:
        """The pod has ended, whether or not it ever had its volumes."""
        return None

    async def clear(self) -> None:
        """Undo what is left of volumes that no pod on this node has any more."""
        return None

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        """How full the volume is, in the words of the summary API; None for what is not measured."""
        return None
