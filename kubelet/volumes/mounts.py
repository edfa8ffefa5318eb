"""mount(2) and umount(2), and bind mounts that cannot be led astray by a symbolic link."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SHARED = 1, 32, 4096, 16384, 1 << 20
MNT_DETACH = 2


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount. Raises OSError."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def mount_in_memory(target: str, size: int | None = None) -> None:
    """A file system in memory, out of reach of the swap where the kernel (6.4) can do that. Raises OSError."""
    options = [f"size={size}"] if size else []
    try:
        mount("tmpfs", target, "tmpfs", options=",".join([*options, "noswap"]))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        mount("tmpfs", target, "tmpfs", options=",".join(options))


OPTIONS = {"ro": MS_RDONLY, "bind": MS_BIND, "rbind": MS_BIND | MS_REC, "rw": 0}


def mount_with(kind: str, source: str, target: str, options: Sequence[str]) -> None:
    """Mount with options as mount(8) takes them. Raises OSError."""
    flags = 0
    for option in options:
        flags |= OPTIONS.get(option, 0)
    words = [option for option in options if option not in OPTIONS]
    mount(source, target, "" if flags & MS_BIND else kind, flags, ",".join(words))
    if flags & MS_BIND and flags & MS_RDONLY:  # a bind mount becomes read-only only in a second step
        mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def unmount(target: str) -> None:
    """Unmount at once, even if it is in use. Raises OSError."""
    if _libc.umount2(target.encode(), MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unmount {target}: {os.strerror(number)}")


def mount_points(below: str) -> list[str]:
    """Mount points at or below a path, the deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4].encode().decode("unicode_escape")
        if target == below or target.startswith(below.rstrip("/") + "/"):
            found.append(target)
    return sorted(found, key=len, reverse=True)


def is_mount_point(path: str) -> bool:
    """Is something mounted exactly here?"""
    return path in mount_points(path)


def unmount_below(path: str) -> None:
    """Unmount everything at or below a path."""
    for target in mount_points(path):
        with contextlib.suppress(OSError):
            unmount(target)


def share(path: str) -> None:
    """Make a directory a shared mount, so that mounts below it reach containers that ask for it. Raises OSError."""
    if not is_mount_point(path):
        mount(path, path, flags=MS_BIND | MS_REC)
    mount("none", path, flags=MS_SHARED | MS_REC)


def open_below(root: str, relative: str, create: bool) -> int:
    """A descriptor of `root/relative` reached without following any link; missing directories are made if wanted.

    Raises OSError; a link on the way is ELOOP or ENOTDIR.
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    try:
        for part in parts:
            if part == "..":
                raise OSError(f"subPath {relative} leaves its volume")
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o750, dir_fd=directory)
                    os.chmod(part, stat.S_IMODE(os.stat(root).st_mode) | 0o750, dir_fd=directory)
            following = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = following
            if stat.S_ISLNK(os.fstat(directory).st_mode):
                raise OSError(f"subPath {relative} contains a symbolic link")
    except OSError:
        os.close(directory)
        raise
    return directory


def bind_below(root: str, relative: str, target: Path, create: bool) -> None:
    """Bind `root/relative` onto a place of our own. Raises OSError."""
    real_root = os.path.realpath(root)
    # Links that the volume's writer made itself (`key -> ..data/key`) are resolved first; the result must stay inside.
    real = os.path.realpath(os.path.join(real_root, relative))
    if real != real_root and not real.startswith(real_root + "/"):
        raise OSError(f"subPath {relative} leaves its volume")
    descriptor = open_below(real_root, os.path.relpath(real, real_root), create)
    try:
        source = f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        if not is_mount_point(str(target)):
            mount(source, str(target), flags=MS_BIND)
    finally:
        os.close(descriptor)
