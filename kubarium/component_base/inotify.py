"""Which files of a folder were written, moved in or taken away: the kernel tells, nobody looks every second.

Source: inotify(7)
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_CREATE, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x100, 0x8, 0x40, 0x80, 0x200
_ONLYDIR = 0x1000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = _CREATE | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
_EVENT = struct.Struct("iIII")  # the watch, what happened, a cookie, how long the name is
_libc = ctypes.CDLL(None, use_errno=True)

Look = Callable[[str], None]  # takes the name of a file; empty: something was missed, look at all of them


class FolderWatch:
    """Tells whoever follows a folder the names of the files in which something changed."""

    def __init__(self) -> None:
        self._file = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        self._followers: dict[int, Look] = {}
        asyncio.get_running_loop().add_reader(self._file, self._read)

    def follow(self, folder: Path, look: Look) -> bool:
        """From now on `look` is called; False if that was so already. Raises OSError."""
        watch = _checked(_libc.inotify_add_watch(self._file, os.fsencode(folder), _MASK), str(folder))
        is_new = watch not in self._followers
        self._followers[watch] = look
        return is_new

    def close(self) -> None:
        """Hear nothing any more."""
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def _read(self) -> None:
        data, at = os.read(self._file, 65536), 0
        while at < len(data):
            watch, mask, _, size = _EVENT.unpack_from(data, at)
            at += _EVENT.size + size
            name = os.fsdecode(data[at - size : at].rstrip(b"\0"))
            if mask & _OVERFLOW:
                for look in [*self._followers.values()]:
                    look("")
            elif mask & _IGNORED:
                self._followers.pop(watch, None)  # the folder itself is gone
            elif watch in self._followers:
                self._followers[watch](name)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
