"""A ruleset as `iptables-restore` input.

Only those chains whose rules differ from what was applied last are sent (a chain that
is declared to `iptables-restore --noflush` is emptied first). Base chains are never flushed: others share these tables.
"""

from __future__ import annotations

from kube_proxy import metrics
from kube_proxy.backends.backend import BackendError, Settings, run, set_sysctl
from kube_proxy.backends.iptables_rules import (
    CANARY,
    CANARY_TABLES,
    EXTERNAL,
    FIREWALL,
    FORWARD,
    LOOPBACK,
    MARK_MASQ,
    NODE_PORTS,
    OURS,
    POSTROUTING,
    SERVICES,
    Chains,
    assemble,
    render,
)
from kube_proxy.backends.rendered import Rendered
from kube_proxy.ruleset import Ruleset

_NEW = "-m conntrack --ctstate NEW"
JUMPS = {
    "nat": [
        ("PREROUTING", SERVICES, '-m comment --comment "kubernetes service portals"'),
        ("OUTPUT", SERVICES, '-m comment --comment "kubernetes service portals"'),
        ("POSTROUTING", POSTROUTING, '-m comment --comment "kubernetes postrouting rules"'),
    ],
    "filter": [
        ("INPUT", EXTERNAL, f'{_NEW} -m comment --comment "kubernetes externally-visible service portals"'),
        ("FORWARD", EXTERNAL, f'{_NEW} -m comment --comment "kubernetes externally-visible service portals"'),
        ("INPUT", NODE_PORTS, '-m comment --comment "kubernetes health check service ports"'),
        ("FORWARD", SERVICES, f'{_NEW} -m comment --comment "kubernetes service portals"'),
        ("OUTPUT", SERVICES, f'{_NEW} -m comment --comment "kubernetes service portals"'),
        ("FORWARD", FORWARD, '-m comment --comment "kubernetes forwarding rules"'),
        ("INPUT", FIREWALL, f'{_NEW} -m comment --comment "kubernetes load balancer firewall"'),
        ("FORWARD", FIREWALL, f'{_NEW} -m comment --comment "kubernetes load balancer firewall"'),
        ("OUTPUT", FIREWALL, f'{_NEW} -m comment --comment "kubernetes load balancer firewall"'),
        ("INPUT", LOOPBACK, ""),
        ("OUTPUT", LOOPBACK, ""),
    ],
}
_WAIT = ("-w", "5")


class IptablesBackend:
    """Remembers what it applied, so that the next time only the difference is sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._iptables, self._family = settings.family.iptables, settings.family.name
        self._parts = Rendered(lambda rule: render(rule, settings))
        self._applied: dict[str, Chains] = {"nat": {}, "filter": {}}

    async def prepare(self) -> None:
        await run([self._iptables, "--version"])
        set_sysctl(f"net/bridge/bridge-nf-call-{self._iptables}", "1")
        if self._settings.localhost_node_ports:
            set_sysctl("net/ipv4/conf/all/route_localnet", "1")
        text = "".join([_hooks(table, await self._saved(table)) for table in CANARY_TABLES])
        if text:
            await run([f"{self._iptables}-restore", *_WAIT, "--noflush"], text)

    async def intact(self) -> bool:
        for table in CANARY_TABLES:
            if not await self._try(self._iptables, *_WAIT, "-t", table, "-S", CANARY):
                return False
        return True

    async def apply(self, ruleset: Ruleset, *, full: bool = False) -> None:
        if full:
            await self.prepare()
            self._applied = {"nat": await self._existing("nat"), "filter": {}}
        wanted = assemble(self._parts.of(ruleset.rules), self._settings)
        text = ""
        for table in ("filter", "nat"):
            part = _difference(table, self._applied[table], wanted[table])
            metrics.IPTABLES_TOTAL.labels(self._family, table).set(sum(map(len, wanted[table].values())))
            metrics.IPTABLES_LAST.labels(self._family, table).set(part.count("\n-A "))
            text += part
        if text:
            await self._restore(text, full=full)
        self._applied = wanted

    async def clean_up(self) -> None:
        for table, jumps in JUMPS.items():
            fixed = {MARK_MASQ, NODE_PORTS, CANARY, *(target for _, target, _ in jumps)}
            chains = [name for name in await self._names(table) if name in fixed or name.startswith(OURS)]
            if not chains:
                continue
            for chain, target, match in jumps:
                await self._try(
                    self._iptables, *_WAIT, "-t", table, "-D", chain, *_words(match), "-j", target
                )
            lines = [
                f"*{table}",
                *(f":{chain} - [0:0]" for chain in chains),
                *(f"-X {chain}" for chain in chains),
            ]
            await run([f"{self._iptables}-restore", *_WAIT, "--noflush"], "\n".join([*lines, "COMMIT", ""]))
        for table in set(CANARY_TABLES) - JUMPS.keys():
            await self._try(self._iptables, *_WAIT, "-t", table, "-X", CANARY)
        self._applied = {"nat": {}, "filter": {}}

    async def _restore(self, text: str, *, full: bool) -> None:
        try:
            await run([f"{self._iptables}-restore", *_WAIT, "--noflush", "--counters"], text)
        except BackendError:
            failures = metrics.IPTABLES_FAILURES if full else metrics.IPTABLES_PARTIAL_FAILURES
            failures.labels(self._family).inc()
            raise

    async def _existing(self, table: str) -> Chains:
        """Chains that an earlier life of this process left: their rules are unknown, so that all are sent anew."""
        return {chain: ("unknown",) for chain in await self._names(table) if chain.startswith(OURS)}

    async def _names(self, table: str) -> list[str]:
        return _chains_in(await self._saved(table))

    async def _saved(self, table: str) -> list[str]:
        return (await run([f"{self._iptables}-save", "-t", table])).splitlines()

    @staticmethod
    async def _try(*command: str) -> bool:
        try:
            await run(command)
        except BackendError:
            return False
        return True


def _chains_in(saved: list[str]) -> list[str]:
    return [line.split()[0][1:] for line in saved if line.startswith(":")]


def _hooks(table: str, saved: list[str]) -> str:
    """The input that makes those of our fixed chains, and of the jumps to them, which a table lacks."""
    jumps = JUMPS.get(table, [])
    wanted = {CANARY, *(target for _, target, _ in jumps), *([MARK_MASQ] if table == "nat" else [])}
    lines = [f":{chain} - [0:0]" for chain in sorted(wanted - set(_chains_in(saved)))]
    there = {(words[1], words[-1]) for line in saved if (words := line.split())[:1] == ["-A"]}
    for chain, target, match in reversed(jumps):
        if (chain, target) not in there:
            lines.append(" ".join(filter(None, ["-I", chain, match, "-j", target])))
    return "\n".join([f"*{table}", *lines, "COMMIT", ""]) if lines else ""


def _difference(table: str, old: Chains, new: Chains) -> str:
    """The input for one table; empty when nothing changed."""
    changed = [chain for chain, rules in new.items() if old.get(chain) != rules]
    gone = [chain for chain in old if chain not in new]
    if not changed and not gone:
        return ""
    lines = [f"*{table}", *(f":{chain} - [0:0]" for chain in [*changed, *gone])]
    lines += [f"-A {chain} {rule}" for chain in changed for rule in new[chain]]
    lines += [f"-X {chain}" for chain in gone]
    return "\n".join([*lines, "COMMIT", ""])


def _words(match: str) -> list[str]:
    """Shell words of a match; only comments are quoted."""
    parts = match.split('"')
    return [word for i, part in enumerate(parts) for word in ([part] if i % 2 else part.split())]
