"""Where a driver's volumes lie, and the notes beside them: all that a restarted kubelet knows of them.

    <root>/plugins/kubernetes.io/csi/<driver>/<sha256 of the handle>/globalmount  staged, with vol_data.json above
    <root>/plugins/kubernetes.io/csi/volumeDevices/staging/<volume>                      staged, as a device
    <root>/pods/<uid>/volumes/kubernetes.io~csi/<volume>/{mount,vol_data.json}           published
    <root>/plugins/kubernetes.io/csi/volumeDevices/publish/<volume>/<uid>                published, as a device
    <root>/pods/<uid>/volumeDevices/kubernetes.io~csi/<volume>                           the pod's name for it
A note is written before the driver is called and removed after it has undone its work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kubelet import checkpoint

NOTE = "vol_data.json"
PLUGIN = "kubernetes.io~csi"


@dataclass(frozen=True, slots=True)
class Note:
    """Which volume of which driver; `attachment` is empty for volumes that are not attached."""

    driver: str
    handle: str
    volume: str = ""
    attachment: str = ""
    block: bool = False
    node: str = ""

    def as_dict(self) -> dict[str, str]:
        """As upstream's kubelet writes it."""
        return {
            "attachmentID": self.attachment,
            "driverName": self.driver,
            "nodeName": self.node,
            "specVolID": self.volume,
            "volumeHandle": self.handle,
            "volumeLifecycleMode": "Persistent" if self.volume else "Ephemeral",
            "volumeMode": "Block" if self.block else "Filesystem",
        }


class Places:
    """Paths below the kubelet's root."""

    def __init__(self, root: Path) -> None:
        self._pods = root / "pods"
        self._staged = root / "plugins" / "kubernetes.io" / "csi"

    def staging(self, note: Note) -> Path:
        """Where the driver prepares the volume for all pods."""
        if note.block:
            return self._staged / "volumeDevices" / "staging" / note.volume
        return self.staged_note(note).parent / "globalmount"

    def staged_note(self, note: Note) -> Path:
        """The note on a staged volume."""
        if note.block:
            return self._staged / "volumeDevices" / note.volume / "data" / NOTE
        return self._staged / note.driver / hashlib.sha256(note.handle.encode()).hexdigest() / NOTE

    def device(self, note: Note, pod_uid: str) -> Path:
        """Where the driver shows the device to one pod."""
        return self._staged / "volumeDevices" / "publish" / note.volume / pod_uid

    def published(self) -> Iterator[Note]:
        """Everything that pods on this node have, by the notes."""
        for kind in ("volumes", "volumeDevices"):
            yield from read_all(self._pods.glob(f"*/{kind}/{PLUGIN}/*/{NOTE}"))

    def staged(self) -> Iterator[Note]:
        """Everything that is prepared on this node."""
        yield from read_all(self._staged.glob(f"*/*/{NOTE}"))
        yield from read_all(self._staged.glob(f"volumeDevices/*/data/{NOTE}"))


def read_all(files: Iterable[Path]) -> Iterator[Note]:
    """Notes that can be read."""
    for file in files:
        note = read(file)
        if note is not None:
            yield note


def read(file: Path) -> Note | None:
    """One note; None when there is none."""
    try:
        found = checkpoint.read(file)
        return Note(
            driver=found["driverName"],
            handle=found["volumeHandle"],
            volume=found.get("specVolID") or "",
            attachment=found.get("attachmentID") or "",
            block=found.get("volumeMode") == "Block",
            node=found.get("nodeName") or "",
        )
    except (KeyError, TypeError):
        return None


def write(file: Path, note: Note) -> None:
    """Write a note so that it is whole or not there."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    checkpoint.write(file, note.as_dict())


def remove(*paths: Path) -> None:
    """Remove files and empty directories; what is not there or not empty stays as it is."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                os.rmdir(path)
            else:
                path.unlink()
