"""A ruleset as `nft` transactions: maps from addresses to verdicts, chains per Service port and endpoint.

Looking up a Service costs the same whether there are ten or ten thousand, because the kernel finds it in a map.
Only chains and elements that differ from what was applied last are sent, so that
the sets which remember clients (session affinity) stay as they are for as long as their endpoint does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kubarium.component_base import logging
from kube_proxy import metrics
from kube_proxy.backends.backend import BackendError, Settings, run, set_sysctl
from kube_proxy.backends.rendered import Rendered
from kube_proxy.endpoints import Endpoint
from kube_proxy.family import IPV4, Family
from kube_proxy.ruleset import Rule, Ruleset
from kube_proxy.services import PortName

log = logging.get(__name__)

TABLE = "kube-proxy"
SERVICE_IPS, NODE_PORTS = "service-ips", "service-nodeports"
NO_ENDPOINT_IPS, NO_ENDPOINT_PORTS = "no-endpoint-services", "no-endpoint-nodeports"
_BY_IP = "type {family}_addr . inet_proto . inet_service : verdict;"
_BY_PORT = "type inet_proto . inet_service : verdict;"
MAPS = {SERVICE_IPS: _BY_IP, NODE_PORTS: _BY_PORT, NO_ENDPOINT_IPS: _BY_IP, NO_ENDPOINT_PORTS: _BY_PORT}
# Refusals come after DNAT: what has been sent to an endpoint is no longer addressed to the Service.
HOOKS = {
    "nat-prerouting": "type nat hook prerouting priority dstnat;",
    "nat-output": "type nat hook output priority -100;",
    "nat-postrouting": "type nat hook postrouting priority srcnat;",
    "filter-input": "type filter hook input priority filter;",
    "filter-forward": "type filter hook forward priority filter;",
    "filter-output": "type filter hook output priority filter;",
}


@dataclass
class Table:
    """Everything in our table, by name."""

    family: Family = IPV4
    sets: dict[str, str] = field(default_factory=dict)
    maps: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in MAPS})
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What `nft` calls it."""
        return f"{self.family.nft} {TABLE}"


class NftablesBackend:
    """Owns the table `ip kube-proxy`, or `ip6 kube-proxy`, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._table = Table(settings.family).name
        self._parts = Rendered(lambda rule: render(rule, settings))
        self._applied: Table | None = None

    async def prepare(self) -> None:
        await run(["nft", "--version"])
        set_sysctl(f"net/bridge/bridge-nf-call-{self._settings.family.iptables}", "1")

    async def apply(self, ruleset: Ruleset, *, full: bool = False) -> None:
        wanted = assemble(self._parts.of(ruleset.rules), self._settings)
        if full or self._applied is None:
            await self._replace(wanted)
        elif text := difference(self._applied, wanted):
            await self._send(text)
        self._applied = wanted

    async def _send(self, text: str) -> None:
        try:
            await run(["nft", "-f", "-"], text)
        except BackendError:
            metrics.NFTABLES_FAILURES.labels(self._settings.family.name).inc()
            raise

    async def intact(self) -> bool:
        return any(
            "chain" in entry and entry["chain"]["table"] == TABLE for entry in await self._listed("chains")
        )

    async def clean_up(self) -> None:
        await run(["nft", "-f", "-"], f"add table {self._table}\ndelete table {self._table}\n")
        self._applied = None

    async def _replace(self, wanted: Table) -> None:
        """Write everything. What remembers clients is kept if the table looks like one of ours."""
        try:
            await run(["nft", "-f", "-"], difference(await self._existing(), wanted, flush_maps=True))
        except BackendError as error:
            log.info("writing the whole table anew: %s", error)
            anew = difference(Table(wanted.family), wanted)
            await self._send(f"add table {self._table}\ndelete table {self._table}\n{anew}")

    async def _existing(self) -> Table:
        """Chains and sets that an earlier life of this process left, without what is in them."""
        await run(["nft", "-f", "-"], f"add table {self._table}\n")
        found = Table(self._settings.family)
        for entry in await self._listed("chains"):
            if "chain" in entry and entry["chain"]["table"] == TABLE:
                found.chains[entry["chain"]["name"]] = ("unknown",)
        for entry in await self._listed("sets"):
            if "set" in entry and entry["set"]["table"] == TABLE:
                found.sets[entry["set"]["name"]] = "unknown"
        return found

    async def _listed(self, what: str) -> list[dict[str, dict[str, str]]]:
        command = ["nft", "-j", "-t", "list", what, self._settings.family.nft]
        found: list[dict[str, dict[str, str]]] = json.loads(await run(command))["nftables"]
        return found


def difference(old: Table, new: Table, *, flush_maps: bool = False) -> str:
    """One transaction: what is added exists before it is named, what goes is no longer named."""
    table = new.name
    fresh_chains = [name for name in new.chains if name not in old.chains]
    changed = [name for name, rules in new.chains.items() if old.chains.get(name) != rules]
    gone = [name for name in old.chains if name not in new.chains]
    lines = [_add_chain(table, name) for name in fresh_chains]
    lines += [f"add set {table} {name} {{ {new.sets[name]} }}" for name in new.sets if name not in old.sets]
    if (fresh_chains and not old.chains) or flush_maps:
        lines = [f"add table {table}", *_add_maps(new.family, flush_maps), *lines]
    lines += _elements(f"delete element {table}", old.maps, new.maps)
    lines += [f"flush chain {table} {name}" for name in [*changed, *gone] if name in old.chains]
    lines += [f"add rule {table} {name} {rule}" for name in changed for rule in new.chains[name]]
    lines += _elements(f"add element {table}", new.maps, old.maps)
    lines += [f"delete chain {table} {name}" for name in gone]
    lines += [f"delete set {table} {name}" for name in old.sets if name not in new.sets]
    return "\n".join([*lines, ""]) if lines else ""


def _add_chain(table: str, name: str) -> str:
    hook = HOOKS.get(name)
    return f"add chain {table} {name}" + (f" {{ {hook} }}" if hook else "")


def _add_maps(family: Family, flush: bool) -> Iterable[str]:
    table = Table(family).name
    for name, form in MAPS.items():
        yield f"add map {table} {name} {{ {form.format(family=family.name.lower())} }}"
        if flush:
            yield f"flush map {table} {name}"


def _elements(
    verb: str, of: Mapping[str, Mapping[str, str]], than: Mapping[str, Mapping[str, str]]
) -> Iterable[str]:
    """Add or delete the entries that the one table has and the other has not, or not so."""
    for name, entries in of.items():
        different = [f"{key} : {to}" for key, to in entries.items() if than[name].get(key) != to]
        if different:
            yield f"{verb} {name} {{ {', '.join(different)} }}"


def chain_of(kind: str, name: PortName) -> str:
    """`service-ABCD1234-default/web/tcp/http`, as far as nft allows such a name."""
    text = f"{name.namespace}/{name.service}/{name.protocol.lower()}/{name.port}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"{kind}-{digest}-{text}"[:120].rstrip("/")


def render(rule: Rule, settings: Settings) -> Table:
    """The part of one Service port."""
    part = Table(settings.family, chains=_chains(rule, settings), sets=_sets(rule))
    _look_up(part.maps, rule)
    return part


def assemble(parts: Iterable[Table], settings: Settings) -> Table:
    """The whole table."""
    table = Table(settings.family, chains=_fixed_chains(settings))
    for part in parts:
        for name, entries in part.maps.items():
            table.maps[name] |= entries
        table.chains |= part.chains
        table.sets |= part.sets
    return table


def _fixed_chains(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Those that do not depend on any Service."""
    mark = f"{settings.masquerade_mark:#x}"
    ip = settings.family.nft
    here = f"fib daddr type local {ip} daddr != {settings.family.loopback}"
    if settings.node_port_addresses:
        here = f"{ip} daddr {{ {', '.join(settings.node_port_addresses)} }}"
    refuse = ("ct state new jump services-without-endpoints",)
    return {
        "mark-for-masquerade": (f"meta mark set meta mark or {mark}",),
        "reject-chain": ("reject",),
        "services": (
            f"{ip} daddr . meta l4proto . th dport vmap @{SERVICE_IPS}",
            f"{here} meta l4proto . th dport vmap @{NODE_PORTS}",
        ),
        "services-without-endpoints": (
            f"{ip} daddr . meta l4proto . th dport vmap @{NO_ENDPOINT_IPS}",
            f"fib daddr type local meta l4proto . th dport vmap @{NO_ENDPOINT_PORTS}",
        ),
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "nat-postrouting": (
            f"meta mark & {mark} == 0 return",
            f"meta mark set meta mark xor {mark}",
            "masquerade fully-random",
        ),
        "filter-input": refuse,
        "filter-forward": refuse,
        "filter-output": refuse,
    }


def _look_up(maps: dict[str, dict[str, str]], rule: Rule) -> None:
    """Which addresses and ports lead to the chains of this rule, and which are refused.

    An address may be in both: packets that the `external` chain did not send anywhere meet the refusal later.
    """
    protocol, port = rule.name.protocol.lower(), rule.port.port
    refusal = "drop" if rule.anywhere else "goto reject-chain"
    inside = f"{rule.port.cluster_ip} . {protocol} . {port}"
    if rule.internal:
        to = "local" if rule.port.internal_local else "service"
        maps[SERVICE_IPS][inside] = f"goto {chain_of(to, rule.name)}"
    else:
        maps[NO_ENDPOINT_IPS][inside] = refusal
    entries = [
        (SERVICE_IPS, NO_ENDPOINT_IPS, f"{address} . {protocol} . {port}")
        for address in rule.external_addresses
    ]
    if rule.port.node_port:
        entries.append((NODE_PORTS, NO_ENDPOINT_PORTS, f"{protocol} . {rule.port.node_port}"))
    for served, refused, key in entries:
        if rule.anywhere:
            maps[served][key] = f"goto {chain_of('external', rule.name)}"
        if not rule.external:
            maps[refused][key] = refusal


def _chains(rule: Rule, settings: Settings) -> dict[str, tuple[str, ...]]:
    """`service` for all endpoints, `local` for those of this node, `external` for traffic from outside."""
    found: dict[str, tuple[str, ...]] = {}
    strangers = _masquerade_strangers(rule, settings)
    if rule.uses_cluster:
        head = () if rule.port.internal_local else strangers
        found[chain_of("service", rule.name)] = (*head, *_pick(rule, rule.cluster))
    if rule.uses_local:
        head = strangers if rule.port.internal_local else ()
        found[chain_of("local", rule.name)] = (*head, *_pick(rule, rule.local))
    if rule.is_reachable_from_outside and rule.anywhere:
        found[chain_of("external", rule.name)] = _external(rule, settings)
    for endpoint in rule.all_endpoints:
        found[_endpoint_name(rule, endpoint)] = _endpoint_chain(rule, endpoint)
    return found


def _sets(rule: Rule) -> dict[str, str]:
    """Who came lately, per endpoint."""
    if not rule.port.affinity_seconds:
        return {}
    form = f"type {rule.port.family.name.lower()}_addr; flags dynamic,timeout; timeout {rule.port.affinity_seconds}s;"
    return {_set_of(rule, endpoint): form for endpoint in rule.all_endpoints}


def _masquerade_strangers(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic that does not come from a pod must come back through this node."""
    if settings.masquerade_all:
        return ("jump mark-for-masquerade",)
    if settings.local:
        where = f"{rule.port.family.nft} daddr {rule.port.cluster_ip}"
        return (f"{where} {settings.local.nft(False)} jump mark-for-masquerade",)
    return ()


def _external(rule: Rule, settings: Settings) -> tuple[str, ...]:
    """Traffic from outside. What comes from within the cluster is spared the detour, so that Local is not for it."""
    inside = chain_of("service", rule.name)
    allowed = _source_ranges(rule)
    if not rule.port.external_local:
        return (*allowed, "jump mark-for-masquerade", f"goto {inside}")
    own = [f"{settings.local.nft(True)} goto {inside}"] if settings.local else []
    last = [f"goto {chain_of('local', rule.name)}"] if rule.local else []
    return (
        *allowed,
        *own,
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto {inside}",
        *last,
    )


def _source_ranges(rule: Rule) -> tuple[str, ...]:
    if not rule.port.source_ranges or not rule.port.load_balancer_ips:
        return ()
    ip = rule.port.family.nft
    sources, addresses = ", ".join(rule.port.source_ranges), ", ".join(rule.port.load_balancer_ips)
    return (f"{ip} daddr {{ {addresses} }} {ip} saddr != {{ {sources} }} drop",)


def _pick(rule: Rule, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    """Whoever came before goes where it was (affinity); anybody else to one endpoint at random."""
    lines, ip = [], rule.port.family.nft
    if rule.port.affinity_seconds:
        lines = [f"{ip} saddr @{_set_of(rule, each)} goto {_endpoint_name(rule, each)}" for each in endpoints]
    targets = ", ".join(f"{i} : goto {_endpoint_name(rule, each)}" for i, each in enumerate(endpoints))
    return (*lines, f"numgen random mod {len(endpoints)} vmap {{ {targets} }}")


def _endpoint_chain(rule: Rule, endpoint: Endpoint) -> tuple[str, ...]:
    """A pod that reaches itself is masqueraded, or its answer would never leave it."""
    protocol, ip = rule.name.protocol.lower(), rule.port.family.nft
    remember = (f"update @{_set_of(rule, endpoint)} {{ {ip} saddr }}",) if rule.port.affinity_seconds else ()
    return (
        f"{ip} saddr {endpoint.ip} jump mark-for-masquerade",
        *remember,
        f"meta l4proto {protocol} dnat to {endpoint.address}",
    )


def _endpoint_name(rule: Rule, endpoint: Endpoint) -> str:
    text = f"{rule.name}{rule.name.protocol}{endpoint.address}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"endpoint-{digest}-{endpoint.ip.replace(':', '.')}/{endpoint.port}"


def _set_of(rule: Rule, endpoint: Endpoint) -> str:
    """The name holds the timeout, because a set cannot change it."""
    name = _endpoint_name(rule, endpoint).replace("endpoint-", "affinity-", 1)
    return f"{name}-{rule.port.affinity_seconds}s"
