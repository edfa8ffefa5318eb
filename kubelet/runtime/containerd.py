"""containerd's own services, for what its CRI cannot do before version 2.2: lay an image's files onto a directory.

    image name ──▶ manifest ──▶ configuration ──▶ layers ──▶ their snapshot ──▶ a read-only view, mounted

The view is a root for containerd's garbage collector: it stays until it is given back, whatever becomes of the image.
Source: https://github.com/containerd/containerd/blob/main/docs/content-flow.md
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from kubarium.component_base import wire
from kubarium.component_base.grpc_channel import CallFailed, Channel, TooLate
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerRuntimeError

MESSAGES = wire.load(Path(__file__).with_name("containerd.proto"))
NAMESPACE = (("containerd-namespace", "k8s.io"),)
TIMEOUT = 120.0  # seconds
IMAGES = "containerd.services.images.v1.Images"
CONTENT = "containerd.services.content.v1.Content"
SNAPSHOTS = "containerd.services.snapshots.v1.Snapshots"
DIFF = "containerd.services.diff.v1.Diff"
GC_ROOT = "containerd.io/gc.root"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MAX_DOCUMENT = 8 << 20  # bytes of a manifest or a configuration


class AlreadyThere(ContainerRuntimeError):
    """A snapshot of that name exists."""


ERRORS: dict[str, type[ContainerRuntimeError]] = {
    "ALREADY_EXISTS": AlreadyThere,
    "NOT_FOUND": interface.NotFound,
    "UNIMPLEMENTED": interface.Unsupported,
    "DEADLINE_EXCEEDED": interface.DeadlineExceeded,
    "UNAVAILABLE": interface.Unavailable,
}


def understood(error: CallFailed) -> ContainerRuntimeError:
    """The runtime's error in the words of `interface.py`."""
    if isinstance(error, TooLate):
        return interface.DeadlineExceeded("context deadline exceeded")  # as Go says it
    return ERRORS.get(error.code, ContainerRuntimeError)(error.details or error.code)


class Views:
    """Read-only views of images, each under a key of the caller's."""

    def __init__(self, channel: Channel, snapshotter: str) -> None:
        self._channel = channel
        self._snapshotter = snapshotter

    async def view(self, image: str, key: str, moment: str) -> list[Any]:
        """The mounts that show the image's files, the same again for the same key."""
        parent = await self._unpacked(image)
        try:
            answer = await self._snapshot(
                "View", "ViewSnapshot", key=key, parent=parent, labels={GC_ROOT: moment}
            )
        except AlreadyThere:
            answer = await self._snapshot("Mounts", "Mounts", key=key)
        return list(answer.mounts)

    async def give_back(self, key: str) -> None:
        """Forget a view; the image's files stay."""
        with contextlib.suppress(interface.NotFound):
            await self._snapshot("Remove", "RemoveSnapshot", "Empty", key=key)

    async def _unpacked(self, image: str) -> str:
        """The name of the snapshot that holds all layers; those that are only content yet are unpacked."""
        answer = await self._call(IMAGES, "Get", "GetImage", name=image)
        manifest = await self._manifest(answer.image.target.digest)
        configuration = await self._document(manifest["config"]["digest"])
        names = chain(configuration["rootfs"]["diff_ids"])
        try:
            await self._snapshot("Stat", "StatSnapshot", key=names[-1])
        except interface.NotFound:
            for index, name in enumerate(names):
                await self._unpack(manifest["layers"][index], name, names[index - 1] if index else "")
        return names[-1]

    async def _unpack(self, layer: dict[str, Any], name: str, parent: str) -> None:
        key = f"unpack {name}"
        with contextlib.suppress(AlreadyThere):
            labels = {GC_ROOT: "unpacking"}
            prepared = await self._snapshot(
                "Prepare", "PrepareSnapshot", key=key, parent=parent, labels=labels
            )
            diff = {"media_type": layer["mediaType"], "digest": layer["digest"], "size": layer["size"]}
            mounts = [_fields(one) for one in prepared.mounts]
            await self._call(DIFF, "Apply", "Apply", diff=diff, mounts=mounts)
            await self._snapshot("Commit", "CommitSnapshot", "Empty", name=name, key=key)

    async def _manifest(self, digest: str) -> dict[str, Any]:
        """The manifest for this machine: an index lists one for each kind of machine."""
        document = await self._document(digest)
        if "manifests" not in document:
            return document
        wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
        for one in document["manifests"]:
            where = one.get("platform") or {}
            if where.get("architecture", wanted) == wanted and where.get("os", "linux") == "linux":
                return await self._manifest(one["digest"])
        raise interface.NotFound(f"no match for platform linux/{wanted} in manifest {digest}")

    async def _document(self, digest: str) -> dict[str, Any]:
        request = MESSAGES["ReadContentRequest"](digest=digest).SerializeToString()
        read = self._channel.stream(f"{CONTENT}/Read", request, NAMESPACE, stays_open=False)
        data = b""
        try:
            async with asyncio.timeout(TIMEOUT), contextlib.aclosing(read):
                async for piece in read:
                    data += MESSAGES["ReadContentResponse"].FromString(piece).data
                    if len(data) > MAX_DOCUMENT:
                        raise ContainerRuntimeError(f"{digest} is too large for a manifest")
        except CallFailed as error:
            raise understood(error) from error
        except TimeoutError as error:
            raise interface.DeadlineExceeded("context deadline exceeded") from error
        found: dict[str, Any] = orjson.loads(data)
        return found

    async def _snapshot(self, method: str, message: str, answer: str = "", **fields: Any) -> Any:
        return await self._call(SNAPSHOTS, method, message, answer, snapshotter=self._snapshotter, **fields)

    async def _call(self, service: str, method: str, message: str, answer: str = "", **fields: Any) -> Any:
        request = MESSAGES[f"{message}Request"](**fields).SerializeToString()
        try:
            found = await self._channel.call(f"{service}/{method}", request, TIMEOUT, NAMESPACE)
        except CallFailed as error:
            raise understood(error) from error
        return MESSAGES[answer or f"{message}Response"].FromString(found)


def chain(diff_ids: Sequence[str]) -> list[str]:
    """The names of the snapshots of a stack of layers, the lowest first.

    Source: https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
    """
    names: list[str] = []
    for diff_id in diff_ids:
        if not names:
            names.append(diff_id)
        else:
            names.append("sha256:" + hashlib.sha256(f"{names[-1]} {diff_id}".encode()).hexdigest())
    return names


def _fields(mount: Any) -> dict[str, Any]:
    return {
        "type": mount.type,
        "source": mount.source,
        "target": mount.target,
        "options": list(mount.options),
    }
