"""The nodes whose pods the agent keeps apart: the one that it runs on, or all of this machine."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Protocol

from addons.network_policy.nft import Kernel


class Nodes(Protocol):
    """Knows the way to the kernel of each node."""

    def present(self) -> dict[str, Kernel]:
        """Every node by name. The same node has the same kernel, as long as it is not made anew."""
        ...


class OneNode:
    """The machine is the node."""

    def __init__(self, name: str, kernel: Kernel) -> None:
        self._kernels = {name: kernel}

    def present(self) -> dict[str, Kernel]:
        return self._kernels


class Namespaces:
    """Each node of this machine is a network namespace at a path like `/run/netns/kb0-*`.

    Nodes come and go, and one that comes back under its old name has a new namespace without any rules.
    """

    def __init__(self, pattern: str, bridge: str) -> None:
        self._bridge = bridge
        self._before, _, self._after = pattern.partition("*")
        self._kernels: dict[tuple[str, int], Kernel] = {}

    def present(self) -> dict[str, Kernel]:
        found = {}
        for path in glob.glob(f"{glob.escape(self._before)}*{glob.escape(self._after)}"):
            try:
                found[(path, os.stat(path).st_ino)] = Path(path)
            except FileNotFoundError:
                continue
        self._kernels = {
            mark: self._kernels.get(mark) or Kernel(self._bridge, path) for mark, path in found.items()
        }
        return {self._name(path): kernel for (path, _), kernel in self._kernels.items()}

    def _name(self, path: str) -> str:
        return path.removeprefix(self._before).removesuffix(self._after)
