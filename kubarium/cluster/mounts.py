"""The few system calls for mounts that Python does not have."""

from __future__ import annotations

import ctypes
import os
import platform

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); an error names the target."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, target)


def unmount(target: str) -> None:
    """umount2(2); the mount goes away as soon as nobody uses it."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def bind(source: str, target: str) -> None:
    """Let a folder with all its mounts appear in another place."""
    mount(source, target, flags=MS_BIND | MS_REC)


def overlay(lower: str, upper: str, work: str, target: str) -> None:
    """Let a folder appear in another place; changes go to `upper` only."""
    mount("overlay", target, "overlay", data=f"lowerdir={lower},upperdir={upper},workdir={work}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], new.encode(), old.encode()), new)


def _check(result: int, target: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
