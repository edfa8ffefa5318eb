"""How full a place on the node is, in the words of the summary API."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from kubarium.apimachinery.object import Object
from kubelet.resources import local_storage


async def of_file_system(path: str) -> Object | None:
    """Of a volume that is a file system of its own."""
    try:
        disk = await asyncio.to_thread(os.statvfs, path)
    except OSError:
        return None
    return {
        "availableBytes": disk.f_bavail * disk.f_frsize,
        "capacityBytes": disk.f_blocks * disk.f_frsize,
        "usedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        "inodesFree": disk.f_ffree,
        "inodes": disk.f_files,
        "inodesUsed": disk.f_files - disk.f_ffree,
    }


async def of_directory(path: str) -> Object | None:
    """Of a volume that shares its file system with others: what lies in it is its own."""
    found = await of_file_system(path)
    if found is None:
        return None
    size = await asyncio.to_thread(local_storage.size, Path(path))
    return found | {"usedBytes": size.bytes, "inodesUsed": size.inodes}
