"""fsGroup: a volume's files become those of the pod's group."""

from __future__ import annotations

import os
import stat

from kubarium.apimachinery.object import Object, spec_of

ROOT_RIGHTS = 0o2070  # the group may do all, and what is made in the directory is the group's


def group_of(pod: Object) -> int | None:
    """The group that the pod's volumes belong to."""
    group: int | None = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
    return group


def give_to_group(pod: Object, path: str, group: int) -> None:
    """As the pod's `fsGroupChangePolicy` wants it. Raises OSError."""
    policy = (spec_of(pod).get("securityContext") or {}).get("fsGroupChangePolicy")
    found = os.stat(path)
    if policy == "OnRootMismatch" and found.st_gid == group and found.st_mode & ROOT_RIGHTS == ROOT_RIGHTS:
        return
    set_ownership(path, group, read_only=False)


def set_ownership(path: str, group: int, read_only: bool) -> None:
    """Give a volume to a group: readable (and writable) for it, new files inherit it. Raises OSError."""
    mask = 0o440 if read_only else 0o660
    for directory, folders, files in os.walk(path, topdown=False):
        links = [folder for folder in folders if os.path.islink(os.path.join(directory, folder))]
        for file in [*files, *links]:
            _give(os.path.join(directory, file), group, mask)
        # The root comes last: whoever finds it right may take the rest for right.
        _give(directory, group, mask | 0o110 | stat.S_ISGID)


def _give(path: str, group: int, mask: int) -> None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        os.lchown(path, -1, group)
        return
    os.chown(path, -1, group)
    os.chmod(path, stat.S_IMODE(found.st_mode) | mask)
