"""The cgroups of a node: made before its first process, removed after its last. Both cgroup versions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
UNIFIED_CONTROLLERS = "cpuset cpu io memory pids"


def is_unified() -> bool:
    """Does this machine have cgroup version 2 only?"""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The root of each tree of cgroups: one in version 2, one per controller in version 1."""
    if is_unified():
        return [ROOT]
    return sorted(path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink())


def enter(group: str) -> None:
    """Make a cgroup in every tree and move this process into it."""
    for root in hierarchies():
        path = root / group.lstrip("/")
        try:
            _make(root, path)
            (path / "cgroup.procs").write_text("0")
        except OSError:
            # A tree that is mounted read-only, or a controller that cannot be delegated, costs its limits only.
            continue


def remove(group: str) -> bool:
    """Remove a cgroup and all below it; false when a process in it has not quite ended yet."""
    for root in hierarchies():
        top = root / group.lstrip("/")
        if not top.is_dir():
            continue
        for path, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                continue
        _remove_empty_parents(top.parent, root)
    return not any((root / group.lstrip("/")).exists() for root in hierarchies())


def _make(root: Path, path: Path) -> None:
    if is_unified():
        _delegate(root)
    for parent in _from_top(root, path):
        parent.mkdir(exist_ok=True)
        if (parent / "cpuset.cpus").exists() and not is_unified():
            # Version 1: a new cpuset is empty, and nothing can live in it until it has cpus and memory.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (parent / name).read_text().strip():
                    (parent / name).write_text((parent.parent / name).read_text())
        if is_unified() and parent != path:
            _delegate(parent)


def _delegate(path: Path) -> None:
    """Version 2: let children have the controllers, one by one, as some may be missing."""
    for controller in UNIFIED_CONTROLLERS.split():
        try:
            (path / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue


def _from_top(root: Path, path: Path) -> Iterable[Path]:
    for depth in range(len(path.relative_to(root).parts)):
        yield root.joinpath(*path.relative_to(root).parts[: depth + 1])


def _remove_empty_parents(path: Path, root: Path) -> None:
    while path != root:
        try:
            path.rmdir()
        except OSError:
            return
        path = path.parent
