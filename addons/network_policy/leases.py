"""Which pod the network plugins have just given which address, from the notes that they keep.

A pod's status tells its address only when its containers may be running already. The notes (the cache of CNI results
of containerd and CRI-O, and what our kubelet writes for Docker) are there before the first of them is created.
Source: https://github.com/containernetworking/cni/blob/main/libcni/api.go (cachedInfo)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from kubarium.apimachinery.object import ObjectKey
from kubarium.component_base import logging
from kubarium.component_base.inotify import FolderWatch

log = logging.get(__name__)

FOLDERS = ("results", "kubelet")  # below /var/lib/cni


@dataclass(frozen=True, slots=True)
class Lease:
    """One sandbox and its addresses."""

    node: str
    pod: ObjectKey
    uid: str  # as its kubelet knows it
    addresses: tuple[str, ...]


def lease_of(node: str, note: bytes) -> Lease | None:
    """What a note says; None if it is not (yet) about a pod with an address."""
    try:
        found = orjson.loads(note)
        arguments = dict(found["cniArgs"])
        addresses = tuple(ip["address"].partition("/")[0] for ip in found["result"].get("ips") or [])
        pod = ObjectKey(arguments["K8S_POD_NAMESPACE"], arguments["K8S_POD_NAME"])
        uid = arguments.get("K8S_POD_UID", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # of another network, or only half written: then its end is told as well
    return Lease(node, pod, uid, addresses) if addresses else None


class Leases:
    """Follows the notes of all nodes; `pattern` is where they lie, with * for the node's name."""

    def __init__(
        self, pattern: str, watch: FolderWatch, changed: Callable[[Lease | None, Lease | None], None]
    ) -> None:
        self._pattern, self._watch, self._changed = pattern, watch, changed
        self._known: dict[Path, Lease] = {}

    def follow(self, nodes: Iterable[str]) -> None:
        """Read what is there, and hear of what comes: `changed` gets what was known and what is."""
        for node in nodes:
            for part in FOLDERS:
                folder = Path(self._pattern.replace("*", node), part)
                try:
                    folder.mkdir(exist_ok=True)
                    is_new = self._watch.follow(folder, partial(self._look, node, folder))
                except OSError as error:
                    log.debug("no notes of network plugins on %s: %s", node, error)
                    continue
                if is_new:
                    self._look(node, folder, "")

    def _look(self, node: str, folder: Path, name: str) -> None:
        paths = {folder / name} if name else {*folder.glob("*"), *self._in(folder)}
        for path in sorted(paths, key=_age):
            lease, before = _read(node, path), self._known.pop(path, None)
            if lease is not None:
                self._known[path] = lease
            if lease != before:
                self._changed(before, lease)

    def _in(self, folder: Path) -> list[Path]:
        return [path for path in self._known if path.parent == folder]


def _read(node: str, path: Path) -> Lease | None:
    try:
        return lease_of(node, path.read_bytes())
    except OSError:
        return None


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
