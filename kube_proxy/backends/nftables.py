"""A ruleset as one `nft` transaction: maps from addresses to verdicts, a chain per Service port.

Looking up a Service costs the same whether there are ten or ten thousand, because the kernel finds it in a map.
The whole table is replaced in one transaction; running connections keep what conntrack remembers of them.
"""

from __future__ import annotations

import hashlib

from kube_proxy.backends.backend import Settings, run
from kube_proxy.endpoints import Endpoint
from kube_proxy.ruleset import Rule, Ruleset
from kube_proxy.services import PortName

TABLE = "kube-proxy"


class NftablesBackend:
    """Owns the table `ip kube-proxy` and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._applied = ""

    async def prepare(self) -> None:
        await run(["nft", "--version"])

    async def apply(self, ruleset: Ruleset, *, full: bool = False) -> None:
        text = render(ruleset, self._settings)
        if text == self._applied and not full:
            return
        await run(["nft", "-f", "-"], f"add table ip {TABLE}\ndelete table ip {TABLE}\n{text}")
        self._applied = text

    async def clean_up(self) -> None:
        await run(["nft", "-f", "-"], f"add table ip {TABLE}\ndelete table ip {TABLE}\n")
        self._applied = ""


def chain_of(kind: str, name: PortName) -> str:
    """`service-ABCD1234-default/web/tcp/http`, as far as nft allows such a name."""
    text = f"{name.namespace}/{name.service}/{name.protocol.lower()}/{name.port}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"{kind}-{digest}-{text}"[:120].rstrip("/")


def render(ruleset: Ruleset, settings: Settings) -> str:
    """The table."""
    mark = f"{settings.masquerade_mark:#x}"
    service_ips: list[str] = []
    node_ports: list[str] = []
    refused: list[str] = []
    refused_ports: list[str] = []
    chains: list[str] = []
    for rule in ruleset.rules:
        protocol, port = rule.name.protocol.lower(), rule.port.port
        verdict = "drop" if rule.anywhere else "goto reject-chain"
        if rule.internal:
            service_ips.append(
                f"{rule.port.cluster_ip} . {protocol} . {port} : goto {chain_of('service', rule.name)}"
            )
        else:
            refused.append(f"{rule.port.cluster_ip} . {protocol} . {port} : {verdict}")
        for address in rule.external_addresses:
            key = f"{address} . {protocol} . {port}"
            if rule.external:
                service_ips.append(f"{key} : goto {chain_of('external', rule.name)}")
            else:
                refused.append(f"{key} : {verdict}")
        if rule.port.node_port:
            key = f"{protocol} . {rule.port.node_port}"
            if rule.external:
                node_ports.append(f"{key} : goto {chain_of('external', rule.name)}")
            else:
                refused_ports.append(f"{key} : {verdict}")
        chains += _chains(rule, settings)
    address_match = (
        f"ip daddr {{ {', '.join(settings.node_port_addresses)} }}"
        if settings.node_port_addresses
        else "fib daddr type local ip daddr != 127.0.0.0/8"
    )
    return f"""table ip {TABLE} {{
\tmap service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; {_elements(service_ips)} }}
\tmap service-nodeports {{ type inet_proto . inet_service : verdict; {_elements(node_ports)} }}
\tmap no-endpoint-services {{ type ipv4_addr . inet_proto . inet_service : verdict; {_elements(refused)} }}
\tmap no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; {_elements(refused_ports)} }}
\tchain mark-for-masquerade {{ meta mark set meta mark or {mark}; }}
\tchain reject-chain {{ reject; }}
{"".join(chains)}\tchain services {{
\t\tip daddr . meta l4proto . th dport vmap @service-ips
\t\t{address_match} meta l4proto . th dport vmap @service-nodeports
\t}}
\tchain services-without-endpoints {{
\t\tip daddr . meta l4proto . th dport vmap @no-endpoint-services
\t\tfib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports
\t}}
\tchain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
\tchain nat-output {{ type nat hook output priority -100; jump services; }}
\tchain nat-postrouting {{
\t\ttype nat hook postrouting priority srcnat;
\t\tmeta mark & {mark} == 0 return
\t\tmeta mark set meta mark xor {mark}
\t\tmasquerade fully-random
\t}}
\tchain filter-input {{ type filter hook input priority -110; ct state new jump services-without-endpoints; }}
\tchain filter-forward {{ type filter hook forward priority -110; ct state new jump services-without-endpoints; }}
\tchain filter-output {{ type filter hook output priority -110; ct state new jump services-without-endpoints; }}
}}
"""


def _elements(entries: list[str]) -> str:
    return f"elements = {{ {', '.join(entries)} }}" if entries else ""


def _chains(rule: Rule, settings: Settings) -> list[str]:
    found = []
    if rule.internal:
        head = _masquerade_strangers(rule, settings)
        found.append(_chain("service", rule, [*head, *_pick(rule, rule.internal)]))
    if rule.is_reachable_from_outside and rule.external:
        found.append(_chain("external", rule, [*_external_head(rule, settings), *_pick(rule, rule.external)]))
    found += [_endpoint_chain(rule, endpoint) for endpoint in rule.all_endpoints]
    return found


def _chain(kind: str, rule: Rule, lines: list[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"{_sets(kind, rule)}\tchain {chain_of(kind, rule.name)} {{\n{body}\t}}\n"


def _sets(kind: str, rule: Rule) -> str:
    """Who came lately, per endpoint; made once, with the first chain of the rule."""
    if not rule.port.affinity_seconds or (kind == "external" and rule.internal):
        return ""
    seconds = rule.port.affinity_seconds
    return "".join(
        f"\tset {_set_of(rule, endpoint)} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}\n"
        for endpoint in rule.all_endpoints
    )


def _masquerade_strangers(rule: Rule, settings: Settings) -> list[str]:
    if settings.masquerade_all:
        return ["jump mark-for-masquerade"]
    if settings.cluster_cidr:
        return [
            f"ip daddr {rule.port.cluster_ip} ip saddr != {settings.cluster_cidr} jump mark-for-masquerade"
        ]
    return []


def _external_head(rule: Rule, settings: Settings) -> list[str]:
    allowed = []
    if rule.port.source_ranges and rule.port.load_balancer_ips:
        sources, addresses = ", ".join(rule.port.source_ranges), ", ".join(rule.port.load_balancer_ips)
        allowed = [f"ip daddr {{ {addresses} }} ip saddr != {{ {sources} }} drop"]
    if not rule.port.external_local:
        return [*allowed, "jump mark-for-masquerade"]
    if not rule.internal or rule.port.internal_local:
        return allowed
    inside = chain_of("service", rule.name)
    own = [f"ip saddr {settings.cluster_cidr} goto {inside}"] if settings.cluster_cidr else []
    return [
        *allowed,
        *own,
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto {inside}",
    ]


def _pick(rule: Rule, endpoints: tuple[Endpoint, ...]) -> list[str]:
    lines = []
    if rule.port.affinity_seconds:
        for endpoint in endpoints:
            lines.append(f"ip saddr @{_set_of(rule, endpoint)} goto {_endpoint_name(rule, endpoint)}")
    targets = ", ".join(
        f"{i} : goto {_endpoint_name(rule, endpoint)}" for i, endpoint in enumerate(endpoints)
    )
    return [*lines, f"numgen random mod {len(endpoints)} vmap {{ {targets} }}"]


def _endpoint_chain(rule: Rule, endpoint: Endpoint) -> str:
    protocol = rule.name.protocol.lower()
    lines = [f"ip saddr {endpoint.ip} jump mark-for-masquerade"]
    if rule.port.affinity_seconds:
        lines.append(f"update @{_set_of(rule, endpoint)} {{ ip saddr }}")
    lines.append(f"meta l4proto {protocol} dnat to {endpoint.ip}:{endpoint.port}")
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {_endpoint_name(rule, endpoint)} {{\n{body}\t}}\n"


def _endpoint_name(rule: Rule, endpoint: Endpoint) -> str:
    text = f"{rule.name}{rule.name.protocol}{endpoint.address}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"endpoint-{digest}-{endpoint.ip}/{endpoint.port}"


def _set_of(rule: Rule, endpoint: Endpoint) -> str:
    return _endpoint_name(rule, endpoint).replace("endpoint-", "affinity-", 1)
