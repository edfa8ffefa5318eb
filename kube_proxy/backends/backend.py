"""The protocol of backends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kubarium.component_base import logging
from kube_proxy.family import IPV4, Family
from kube_proxy.local_traffic import LocalTraffic
from kube_proxy.ruleset import Ruleset

log = logging.get(__name__)


class BackendError(Exception):
    """The kernel, or the program that talks to it, refused."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all backends need to know of the node."""

    local: LocalTraffic | None  # how to know what comes from a pod of this node or cluster
    masquerade_mark: int
    masquerade_all: bool = False
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    conntrack_is_liberal: bool = False
    family: Family = IPV4


class Backend(Protocol):
    """Brings the kernel in line with a ruleset."""

    async def prepare(self) -> None:
        """Check that the kernel can do this; hook our chains in. Raises BackendError."""
        ...

    async def apply(self, ruleset: Ruleset, *, full: bool = False) -> None:
        """Make the kernel do exactly this; `full` trusts nothing that was applied before. Raises BackendError."""
        ...

    async def intact(self) -> bool:
        """Are our rules still there? Others may flush what they should not."""
        ...

    async def clean_up(self) -> None:
        """Leave nothing behind."""
        ...


async def run(command: Sequence[str], text: str = "") -> str:
    """Run a program with this input and return its output. Raises BackendError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            # A program that reads nothing may be gone before one could write to it.
            stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise BackendError(f"{command[0]}: not found") from error
    output, problems = await process.communicate(text.encode() if text else None)
    if process.returncode:
        raise BackendError(f"{' '.join(command)}: {problems.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


def set_sysctl(name: str, value: str) -> None:
    """Set a parameter of the kernel; only a warning if that is not possible here."""
    path = Path("/proc/sys") / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        log.warning("cannot set %s to %s: %s", name.replace("/", "."), value, error)
