"""What every kind of volume offers, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubarium.apimachinery.object import Object


class VolumeError(Exception):
    """The volume cannot be set up now; the text goes into the event FailedMount."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """Where the volume lies on the node (or which image it is)."""

    path: str = ""
    read_only: bool = False
    image: str = ""


class VolumeHost(Protocol):
    """What volumes may ask of the kubelet."""

    async def fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        """A ConfigMap, Secret, PersistentVolumeClaim or PersistentVolume; None when it does not exist."""
        ...

    async def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A token of the pod's service account, bound to the pod."""
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

    async def tear_down(self, directory: Path) -> None:
        """Undo everything that lies in the directory."""
        ...
