"""A ruleset as `iptables-restore` input, with upstream's chain names, so that people find what the books describe.

All chains are computed anew each time; only those whose rules differ from what was applied last are sent (a chain that
is declared to `iptables-restore --noflush` is emptied first). Base chains are never flushed: others share these tables.
"""

from __future__ import annotations

import base64
import hashlib

from kube_proxy import metrics
from kube_proxy.backends.backend import BackendError, Settings, run, set_sysctl
from kube_proxy.endpoints import Endpoint
from kube_proxy.ruleset import Rule, Ruleset
from kube_proxy.services import PortName

Chains = dict[str, tuple[str, ...]]

SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ = (
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
)
EXTERNAL, FORWARD, FIREWALL = "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL"
LOOPBACK = "KUBE-FIREWALL"
OURS = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-")
CANARY, CANARY_TABLES = "KUBE-PROXY-CANARY", ("mangle", "nat", "filter")  # gone: somebody flushed our rules

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


def chain_name(prefix: str, *parts: str) -> str:
    """`KUBE-SVC-` and sixteen characters of a hash, as upstream computes it."""
    digest = hashlib.sha256("".join(parts).encode()).digest()
    return f"KUBE-{prefix}-{base64.b32encode(digest).decode()[:16]}"


def service_chain(prefix: str, name: PortName) -> str:
    """The chain of a Service port: SVC (cluster), SVL (local), EXT (external), FW (firewall)."""
    return chain_name(prefix, str(name), name.protocol.lower())


def endpoint_chain(name: PortName, endpoint: Endpoint) -> str:
    """The chain of one endpoint of a Service port."""
    return chain_name("SEP", str(name), name.protocol.lower(), endpoint.address)


class IptablesBackend:
    """Remembers what it applied, so that the next time only the difference is sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._applied: dict[str, Chains] = {"nat": {}, "filter": {}}

    async def prepare(self) -> None:
        await run(["iptables", "--version"])
        set_sysctl("net/bridge/bridge-nf-call-iptables", "1")
        if self._settings.localhost_node_ports:
            set_sysctl("net/ipv4/conf/all/route_localnet", "1")
        text = "".join([_hooks(table, await self._saved(table)) for table in CANARY_TABLES])
        if text:
            await run(["iptables-restore", *_WAIT, "--noflush"], text)

    async def intact(self) -> bool:
        for table in CANARY_TABLES:
            if not await self._try("iptables", *_WAIT, "-t", table, "-S", CANARY):
                return False
        return True

    async def apply(self, ruleset: Ruleset, *, full: bool = False) -> None:
        if full:
            await self.prepare()
            self._applied = {"nat": await self._existing("nat"), "filter": {}}
        wanted = {
            "nat": render_nat(ruleset, self._settings),
            "filter": render_filter(ruleset, self._settings),
        }
        text = ""
        for table in ("filter", "nat"):
            part = _difference(table, self._applied[table], wanted[table])
            metrics.IPTABLES_TOTAL.labels(metrics.FAMILY, table).set(sum(map(len, wanted[table].values())))
            metrics.IPTABLES_LAST.labels(metrics.FAMILY, table).set(part.count("\n-A "))
            text += part
        if text:
            await self._restore(text, full=full)
        self._applied = wanted

    async def clean_up(self) -> None:
        for table, jumps in JUMPS.items():
            for chain, target, match in jumps:
                await self._try("iptables", *_WAIT, "-t", table, "-D", chain, *_words(match), "-j", target)
            fixed = {MARK_MASQ, NODE_PORTS, CANARY, *(target for _, target, _ in jumps)}
            chains = [name for name in await self._names(table) if name in fixed or name.startswith(OURS)]
            if chains:
                lines = [
                    f"*{table}",
                    *(f":{chain} - [0:0]" for chain in chains),
                    *(f"-X {chain}" for chain in chains),
                ]
                await run(["iptables-restore", *_WAIT, "--noflush"], "\n".join([*lines, "COMMIT", ""]))
        for table in set(CANARY_TABLES) - JUMPS.keys():
            await self._try("iptables", *_WAIT, "-t", table, "-X", CANARY)
        self._applied = {"nat": {}, "filter": {}}

    async def _restore(self, text: str, *, full: bool) -> None:
        try:
            await run(["iptables-restore", *_WAIT, "--noflush", "--counters"], text)
        except BackendError:
            failures = metrics.IPTABLES_FAILURES if full else metrics.IPTABLES_PARTIAL_FAILURES
            failures.labels(metrics.FAMILY).inc()
            raise

    async def _existing(self, table: str) -> Chains:
        """Chains that an earlier life of this process left: their rules are unknown, so that all are sent anew."""
        return {chain: ("unknown",) for chain in await self._names(table) if chain.startswith(OURS)}

    async def _names(self, table: str) -> list[str]:
        return _chains_in(await self._saved(table))

    async def _saved(self, table: str) -> list[str]:
        return (await run(["iptables-save", "-t", table])).splitlines()

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


def render_nat(ruleset: Ruleset, settings: Settings) -> Chains:
    """Where packets go, and whose source is replaced."""
    mark = f"{settings.masquerade_mark:#x}"
    chains: Chains = {
        MARK_MASQ: (f"-j MARK --or-mark {mark}",),
        POSTROUTING: (
            f"-m mark ! --mark {mark}/{mark} -j RETURN",
            f"-j MARK --xor-mark {mark}",
            '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
        ),
    }
    portals: list[str] = []
    node_ports: list[str] = []
    for rule in ruleset.rules:
        portals += _portals(rule)
        node_ports += _node_port(rule)
        chains |= _service_chains(rule, settings)
    portals += _to_node_ports(settings)
    return {**chains, SERVICES: tuple(portals), NODE_PORTS: tuple(node_ports)}


def render_filter(ruleset: Ruleset, settings: Settings) -> Chains:
    """What is refused because nobody can serve it, and what passes."""
    mark = f"{settings.masquerade_mark:#x}"
    services: list[str] = []
    external: list[str] = []
    firewall: list[str] = []
    health: list[str] = []
    for rule in ruleset.rules:
        services += _refuse_internal(rule)
        external += _refuse_external(rule)
        firewall += _firewall(rule)
        if rule.port.health_check_node_port:
            comment = _comment(f"{rule.name} health check node port")
            health.append(f"{comment} -m tcp -p tcp --dport {rule.port.health_check_node_port} -j ACCEPT")
    invalid = () if settings.conntrack_is_liberal else ("-m conntrack --ctstate INVALID -j DROP",)
    return {
        SERVICES: tuple(services),
        EXTERNAL: tuple(external),
        NODE_PORTS: tuple(health),
        FIREWALL: tuple(firewall),
        LOOPBACK: _guard_loopback(settings),
        FORWARD: (
            *invalid,
            f"{_comment('kubernetes forwarding rules')} -m mark --mark {mark}/{mark} -j ACCEPT",
            f"{_comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
    }


def _portals(rule: Rule) -> list[str]:
    found = []
    if rule.internal:
        to = service_chain("SVL" if rule.port.internal_local else "SVC", rule.name)
        found.append(
            f"{_comment(f'{rule.name} cluster IP')} {_destination(rule, rule.port.cluster_ip)} -j {to}"
        )
    if rule.anywhere:
        to = service_chain("EXT", rule.name)
        for address in rule.port.external_ips:
            found.append(f"{_comment(f'{rule.name} external IP')} {_destination(rule, address)} -j {to}")
        if rule.port.source_ranges:
            to = service_chain("FW", rule.name)
        for address in rule.port.load_balancer_ips:
            found.append(f"{_comment(f'{rule.name} loadbalancer IP')} {_destination(rule, address)} -j {to}")
    return found


def _node_port(rule: Rule) -> list[str]:
    if not rule.port.node_port or not rule.anywhere:
        return []
    protocol = rule.name.protocol.lower()
    to = service_chain("EXT", rule.name)
    return [f"{_comment(str(rule.name))} -m {protocol} -p {protocol} --dport {rule.port.node_port} -j {to}"]


def _to_node_ports(settings: Settings) -> list[str]:
    comment = _comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    if settings.node_port_addresses:
        return [f"{comment} -d {address} -j {NODE_PORTS}" for address in settings.node_port_addresses]
    not_loopback = "" if settings.localhost_node_ports else "! -d 127.0.0.0/8 "
    return [f"{comment} {not_loopback}-m addrtype --dst-type LOCAL -j {NODE_PORTS}"]


def _service_chains(rule: Rule, settings: Settings) -> Chains:
    """SVC for all endpoints, SVL for those of this node, EXT for traffic from outside, SEP for each endpoint."""
    chains: Chains = {}
    strangers = _masquerade_strangers(rule, settings)
    if rule.uses_cluster:
        head = () if rule.port.internal_local else strangers
        chains[service_chain("SVC", rule.name)] = (*head, *_pick(rule, rule.cluster))
    if rule.uses_local:
        head = strangers if rule.port.internal_local else ()
        chains[service_chain("SVL", rule.name)] = (*head, *_pick(rule, rule.local))
    if rule.is_reachable_from_outside and rule.anywhere:
        chains[service_chain("EXT", rule.name)] = _external(rule, settings)
        if rule.port.source_ranges and rule.port.load_balancer_ips:
            chains[service_chain("FW", rule.name)] = _admit(rule)
    for endpoint in rule.all_endpoints:
        chains[endpoint_chain(rule.name, endpoint)] = _endpoint(rule, endpoint)
    return chains


def _external(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic from outside. What comes from within the cluster is spared the detour, so that Local is not for it."""
    cluster = service_chain("SVC", rule.name)
    if not rule.port.external_local:
        masquerade = f"{_comment(f'masquerade traffic for {rule.name} external destinations')} -j {MARK_MASQ}"
        return (masquerade, f"-j {cluster}")
    rules: list[str] = []
    if settings.local:
        comment = _comment(f"pod traffic for {rule.name} external destinations")
        rules.append(f"{comment} {settings.local.iptables(True)} -j {cluster}")
    comment = _comment(f"masquerade LOCAL traffic for {rule.name} external destinations")
    rules.append(f"{comment} -m addrtype --src-type LOCAL -j {MARK_MASQ}")
    comment = _comment(f"route LOCAL traffic for {rule.name} external destinations")
    rules.append(f"{comment} -m addrtype --src-type LOCAL -j {cluster}")
    if rule.local:
        rules.append(f"-j {service_chain('SVL', rule.name)}")
    return tuple(rules)


def _masquerade_strangers(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic that does not come from a pod must come back through this node."""
    where = f"{_comment(f'{rule.name} cluster IP')} {_destination(rule, rule.port.cluster_ip)}"
    if settings.masquerade_all:
        return (f"{where} -j {MARK_MASQ}",)
    if settings.local:
        return (f"{where} {settings.local.iptables(False)} -j {MARK_MASQ}",)
    return ()


def _pick(rule: Rule, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    """Whoever came before goes where it was (affinity); anybody else to one endpoint at random."""
    rules = []
    if rule.port.affinity_seconds:
        for endpoint in endpoints:
            chain = endpoint_chain(rule.name, endpoint)
            recent = f"-m recent --name {chain} --rcheck --seconds {rule.port.affinity_seconds} --reap"
            rules.append(f"{_comment(f'{rule.name} -> {endpoint.address}')} {recent} -j {chain}")
    for index, endpoint in enumerate(endpoints):
        left = len(endpoints) - index
        chance = f"-m statistic --mode random --probability {1 / left:.11f} " if left > 1 else ""
        comment = _comment(f"{rule.name} -> {endpoint.address}")
        rules.append(f"{comment} {chance}-j {endpoint_chain(rule.name, endpoint)}")
    return tuple(rules)


def _endpoint(rule: Rule, endpoint: Endpoint) -> tuple[str, ...]:
    """A pod that reaches itself is masqueraded, or its answer would never leave it."""
    protocol = rule.name.protocol.lower()
    recent = (
        f"-m recent --name {endpoint_chain(rule.name, endpoint)} --set " if rule.port.affinity_seconds else ""
    )
    return (
        f"{_comment(str(rule.name))} -s {endpoint.ip} -j {MARK_MASQ}",
        f"{_comment(str(rule.name))} {recent}-m {protocol} -p {protocol} -j DNAT --to-destination {endpoint.address}",
    )


def _refuse_internal(rule: Rule) -> list[str]:
    if rule.internal:
        return []
    target, why = ("DROP", "no local endpoints") if rule.anywhere else ("REJECT", "no endpoints")
    return [f"{_comment(f'{rule.name} has {why}')} {_destination(rule, rule.port.cluster_ip)} -j {target}"]


def _refuse_external(rule: Rule) -> list[str]:
    if rule.external:
        return []
    target, why = ("DROP", "no local endpoints") if rule.anywhere else ("REJECT", "no endpoints")
    comment = _comment(f"{rule.name} has {why}")
    found = [f"{comment} {_destination(rule, address)} -j {target}" for address in rule.external_addresses]
    if rule.port.node_port:
        protocol = rule.name.protocol.lower()
        port = f"-m {protocol} -p {protocol} --dport {rule.port.node_port}"
        found.append(f"{comment} -m addrtype --dst-type LOCAL {port} -j {target}")
    return found


def _firewall(rule: Rule) -> list[str]:
    """Who may not come in by a load balancer's address still has it as destination: nobody sent it on."""
    if not rule.port.source_ranges:
        return []
    comment = _comment(f"{rule.name} traffic not accepted by {service_chain('FW', rule.name)}")
    return [f"{comment} {_destination(rule, address)} -j DROP" for address in rule.port.load_balancer_ips]


def _admit(rule: Rule) -> tuple[str, ...]:
    """The sources that a load balancer lets in; for the others see `_firewall`."""
    comment, to = _comment(f"{rule.name} loadbalancer IP"), service_chain("EXT", rule.name)
    rest = _comment(f"other traffic to {rule.name} will be dropped by {FIREWALL}")
    return (*(f"{comment} -s {source} -j {to}" for source in rule.port.source_ranges), rest)


def _guard_loopback(settings: Settings) -> tuple[str, ...]:
    """NodePorts on 127.0.0.1 need route_localnet; strangers must not reach loopback by it (CVE-2020-8558)."""
    if not settings.localhost_node_ports:
        return ()
    where = "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
    return (f"{_comment('block incoming localnet connections')} {where} -j DROP",)


def _destination(rule: Rule, address: str) -> str:
    protocol = rule.name.protocol.lower()
    return f"-m {protocol} -p {protocol} -d {address} --dport {rule.port.port}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"'


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
