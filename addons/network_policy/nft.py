"""A plan as an `nft` table, which is replaced in one transaction: no packet sees half of it.

Rules pass packets on by `return`, so that both ends of a connection inside one node have their say.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from addons.network_policy.members import IPV4, IPV6
from addons.network_policy.plan import EGRESS, INGRESS, Plan, Rule
from kubarium.component_base import logging

log = logging.get(__name__)

TABLE = "kubarium-network-policy"
ADDRESS = {INGRESS: "saddr", EGRESS: "daddr"}  # where the other end of the connection is written
# Without this, packets between two pods of a node pass the bridge unseen.
BRIDGE_SYSCTLS = {
    IPV4: "/proc/sys/net/bridge/bridge-nf-call-iptables",
    IPV6: "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
}


class KernelError(Exception):
    """A program is missing, or refused."""


class Kernel:
    """The door to the kernel, in the network namespace of one node; its own one if none is named."""

    def __init__(self, bridge: str, netns: Path | None = None) -> None:
        self._bridge = bridge
        self._inside = () if netns is None else ("nsenter", f"--net={netns}")
        self._applied = ""
        self._prepared: set[str] = set()  # families

    async def prepare(self, family: str = IPV4) -> None:
        """Let the bridge show its packets to us. Raises KernelError."""
        if shutil.which("nft") is None:
            raise KernelError("nft: not found")
        try:
            await self._run("tee", BRIDGE_SYSCTLS[family], text="1")
        except KernelError as error:
            log.warning("pods of one node may reach each other whatever policies say: %s", error)
        self._prepared.add(family)

    async def apply(self, plans: Sequence[Plan]) -> bool:
        """Make the kernel do exactly this, a plan for each family; False if it does already. Raises KernelError."""
        text = "".join(render(plan, self._bridge) for plan in plans)
        if text == self._applied:
            return False
        for plan in plans:
            if plan.family not in self._prepared:
                await self.prepare(plan.family)
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
        tables = [f"{family} {TABLE}" for family in (IPV4, IPV6)]
        await self._run("nft", "-f", "-", text="".join(f"add table {t}\ndelete table {t}\n" for t in tables))
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
    ip, kind = plan.family, "ipv6_addr" if plan.family == IPV6 else "ipv4_addr"
    table = f"{ip} {TABLE}"
    lines = [f"add table {table}", f"delete table {table}", f"table {table} {{"]
    for name, elements in sorted(plan.sets.items()):
        lines += _container("set", name, f"type {kind}; flags interval; auto-merge;", elements)
    for name, elements in sorted(plan.targets.items()):
        lines += _container("set", name, f"type {kind} . inet_proto . inet_service;", elements)
    for name, rules in sorted(plan.chains.items()):
        direction = name.partition("-")[0]
        lines += [f"  chain {name} {{", *(f"    {line}" for line in _rules(ip, direction, rules)), "  }"]
    for direction, pods in ((INGRESS, plan.ingress), (EGRESS, plan.egress)):
        entries = [f"{address} : jump {chain}" for address, chain in sorted(pods.items())]
        lines += _container("map", f"{direction}-pods", f"type {kind} : verdict;", entries)
    own = [f"{address} . {address}" for address in sorted({*plan.ingress, *plan.egress})]
    lines += _container("set", "own-pods", f"type {kind} . {kind};", own)
    forward = [*_BEGINNING, *(_NEIGHBOURS if ip == IPV6 else ())]
    if plan.known is not None and bridge:
        lines += _container("set", "known-pods", f"type {kind};", plan.known)
        forward += [
            f'    iifname "{bridge}" {ip} saddr != @known-pods counter drop',
            f'    oifname "{bridge}" {ip} daddr != @known-pods counter drop',
        ]
    return "\n".join([*lines, *forward, *(line.format(ip=ip) for line in _VERDICTS), "  }", "}", ""])


_BEGINNING = (
    "  chain forward {",
    "    type filter hook forward priority filter + 10; policy accept;",
    "    ct state established,related accept",
)
_NEIGHBOURS = (  # IPv6 asks for neighbours in packets of its own, which pass the bridge as all others do
    "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept",
)
_VERDICTS = (
    "    {ip} saddr . {ip} daddr @own-pods accept",  # a pod that reaches itself through a Service
    "    {ip} saddr vmap @egress-pods",
    "    {ip} daddr vmap @ingress-pods",
)


def _container(kind: str, name: str, form: str, elements: Iterable[str]) -> Iterator[str]:
    yield f"  {kind} {name} {{"
    yield f"    {form}"
    listed = ", ".join(elements)
    if listed:
        yield f"    elements = {{ {listed} }}"
    yield "  }"


def _rules(ip: str, direction: str, rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        yield _match(ip, direction, rule) + "return"
    yield "counter drop"


def _match(ip: str, direction: str, rule: Rule) -> str:
    if rule.targets:
        return f"{ip} daddr . meta l4proto . th dport @{rule.targets} "
    found = f"{ip} {ADDRESS[direction]} @{rule.peers} " if rule.peers else ""
    if rule.ports:
        return f"{found}{rule.protocol} dport {{ {', '.join(rule.ports)} }} "
    return f"{found}meta l4proto {rule.protocol} " if rule.protocol else found
