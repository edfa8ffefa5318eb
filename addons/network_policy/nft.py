"""A plan as an `nft` table, which is replaced in one transaction: no packet sees half of it.

Rules pass packets on by `return`, so that both ends of a connection inside one node have their say.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from addons.network_policy.plan import EGRESS, INGRESS, Plan, Rule
from kubarium.component_base import logging

log = logging.get(__name__)

TABLE = "kubarium-network-policy"
ADDRESS = {INGRESS: "saddr", EGRESS: "daddr"}  # where the other end of the connection is written
# Without this, packets between two pods of a node pass the bridge unseen.
BRIDGE_SYSCTL = "/proc/sys/net/bridge/bridge-nf-call-iptables"


class KernelError(Exception):
    """A program is missing, or refused."""


class Kernel:
    """The door to the kernel, in the network namespace of one node; its own one if none is named."""

    def __init__(self, bridge: str, netns: Path | None = None) -> None:
        self._bridge = bridge
        self._inside = () if netns is None else ("nsenter", f"--net={netns}")
        self._applied = ""
        self._prepared = False

    async def prepare(self) -> None:
        """Let the bridge show its packets to us. Raises KernelError."""
        if shutil.which("nft") is None:
            raise KernelError("nft: not found")
        try:
            await self._run("tee", BRIDGE_SYSCTL, text="1")
        except KernelError as error:
            log.warning("pods of one node may reach each other whatever policies say: %s", error)
        self._prepared = True

    async def apply(self, plan: Plan) -> bool:
        """Make the kernel do exactly this; False if it does already. Raises KernelError."""
        text = render(plan, self._bridge)
        if text == self._applied:
            return False
        if not self._prepared:
            await self.prepare()
        await self._run("nft", "-f", "-", text=text)
        self._applied = text
        return True

    async def intact(self) -> bool:
        """Is our table still there? If not, the next `apply` writes it."""
        try:
            await self._run("nft", "list", "chain", "ip", TABLE, "forward")
        except KernelError:
            self._applied = ""
        return bool(self._applied)

    async def clean_up(self) -> None:
        """Leave nothing behind."""
        await self._run("nft", "-f", "-", text=f"add table ip {TABLE}\ndelete table ip {TABLE}\n")
        self._applied = ""

    async def _run(self, *command: str, text: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            *self._inside,
            *command,
            stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, problems = await process.communicate(text.encode() if text else None)
        if process.returncode:
            raise KernelError(problems.decode(errors="replace").strip())


def render(plan: Plan, bridge: str) -> str:
    """The whole table. Whoever is behind the bridge and is not known yet must wait until it is."""
    lines = [f"add table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    for name, elements in sorted(plan.sets.items()):
        lines += _container("set", name, "type ipv4_addr; flags interval; auto-merge;", elements)
    for name, elements in sorted(plan.targets.items()):
        lines += _container("set", name, "type ipv4_addr . inet_proto . inet_service;", elements)
    for name, rules in sorted(plan.chains.items()):
        direction = name.partition("-")[0]
        lines += [f"  chain {name} {{", *(f"    {line}" for line in _rules(direction, rules)), "  }"]
    for direction, pods in ((INGRESS, plan.ingress), (EGRESS, plan.egress)):
        entries = [f"{address} : jump {chain}" for address, chain in sorted(pods.items())]
        lines += _container("map", f"{direction}-pods", "type ipv4_addr : verdict;", entries)
    own = [f"{address} . {address}" for address in sorted({*plan.ingress, *plan.egress})]
    lines += _container("set", "own-pods", "type ipv4_addr . ipv4_addr;", own)
    forward = [*_BEGINNING]
    if plan.known is not None and bridge:
        lines += _container("set", "known-pods", "type ipv4_addr;", plan.known)
        forward += [
            f'    iifname "{bridge}" ip saddr != @known-pods counter drop',
            f'    oifname "{bridge}" ip daddr != @known-pods counter drop',
        ]
    return "\n".join([*lines, *forward, *_VERDICTS, "}", ""])


_BEGINNING = (
    "  chain forward {",
    "    type filter hook forward priority filter + 10; policy accept;",
    "    ct state established,related accept",
)
_VERDICTS = (
    "    ip saddr . ip daddr @own-pods accept",  # a pod that reaches itself through a Service
    "    ip saddr vmap @egress-pods",
    "    ip daddr vmap @ingress-pods",
    "  }",
)


def _container(kind: str, name: str, form: str, elements: Iterable[str]) -> Iterator[str]:
    yield f"  {kind} {name} {{"
    yield f"    {form}"
    listed = ", ".join(elements)
    if listed:
        yield f"    elements = {{ {listed} }}"
    yield "  }"


def _rules(direction: str, rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        yield _match(direction, rule) + "return"
    yield "counter drop"


def _match(direction: str, rule: Rule) -> str:
    if rule.targets:
        return f"ip daddr . meta l4proto . th dport @{rule.targets} "
    found = f"ip {ADDRESS[direction]} @{rule.peers} " if rule.peers else ""
    if rule.ports:
        return f"{found}{rule.protocol} dport {{ {', '.join(rule.ports)} }} "
    return f"{found}meta l4proto {rule.protocol} " if rule.protocol else found
