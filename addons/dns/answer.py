"""A name of this cluster becomes records. Pure.

web.default.svc.cluster.local              the Service's address, or those of its pods if it is headless
db-0.db.default.svc.cluster.local          one pod of a headless Service
_http._tcp.web.default.svc.cluster.local   SRV: port and name
10-244-1-7.default.pod.cluster.local       a pod by its address
7.1.244.10.in-addr.arpa                    the way back
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from dnslib import AAAA, CLASS, CNAME, NS, PTR, QTYPE, RCODE, RR, SOA, SRV, TXT, A

from addons.dns.zone import Zone, ports_of
from kubarium.api.core import service as services
from kubarium.apimachinery.object import Object, ObjectKey

TTL = 5  # seconds
SPECIFICATION = "1.1.0"


@dataclass
class Answer:
    """Records, and whether the name exists at all. `chase` is a foreign name to be resolved further."""

    records: list[RR] = field(default_factory=list)
    extra: list[RR] = field(default_factory=list)
    exists: bool = True
    chase: str = ""

    @property
    def code(self) -> int:
        """NOERROR or NXDOMAIN."""
        return int(RCODE.NOERROR if self.exists else RCODE.NXDOMAIN)


def is_ours(zone: Zone, name: str) -> bool:
    """Is the name below the cluster's domain, or the reverse name of an address that we know?"""
    if name == zone.domain or name.endswith("." + zone.domain):
        return True
    address = address_of_reverse(name)
    return address is not None and (address in zone.by_address or bool(zone.host_names(address)))


def resolve(zone: Zone, name: str, kind: str) -> Answer:
    """The records of one kind for a lower-case name without its final dot."""
    address = address_of_reverse(name)
    if address is not None:
        return _reverse(zone, name, address, kind)
    labels = name.removesuffix(zone.domain).rstrip(".").split(".") if name != zone.domain else []
    match labels[::-1]:
        case []:
            return Answer(_of_the_domain(zone, kind))
        case ["dns-version"]:
            return Answer([_record(name, "TXT", TXT(SPECIFICATION))] if kind in ("TXT", "ANY") else [])
        case ["svc"] | ["pod"]:
            return Answer()
        case ["svc" | "pod", namespace]:
            return Answer(exists=namespace in zone.namespaces)
        case ["pod", namespace, dashed]:
            return _pod(zone, name, namespace, dashed, kind)
        case ["svc", namespace, service, *rest] if len(rest) <= 2:
            found = zone.services.get(ObjectKey(namespace, service))
            return (
                _service(zone, name, found, rest[::-1], kind) if found is not None else Answer(exists=False)
            )
        case _:
            return Answer(exists=False)


def _of_the_domain(zone: Zone, kind: str) -> list[RR]:
    if kind == "SOA":
        return [start_of_authority(zone)]
    return [_record(zone.domain, "NS", NS(f"ns.dns.{zone.domain}."))] if kind == "NS" else []


def start_of_authority(zone: Zone) -> RR:
    """Says for how long a negative answer may be remembered."""
    data = SOA(
        f"ns.dns.{zone.domain}.", f"hostmaster.{zone.domain}.", (zone.generation, 7200, 1800, 86400, TTL)
    )
    return RR(f"{zone.domain}.", QTYPE.SOA, CLASS.IN, TTL, data)


def address_of_reverse(name: str) -> str | None:
    """`7.1.244.10.in-addr.arpa` -> `10.244.1.7`."""
    if name.endswith(".in-addr.arpa"):
        text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[i : i + 4] for i in range(0, len(digits), 4))
    else:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _service(zone: Zone, name: str, service: Object, rest: list[str], kind: str) -> Answer:
    """`rest` is what stands before the Service's name: nothing, a host, or `_port._protocol`."""
    if services.type_of(service) == services.EXTERNAL_NAME:
        if rest:
            return Answer(exists=False)
        target = str(services.spec_of(service).get("externalName") or "").rstrip(".")
        return Answer([_record(name, "CNAME", CNAME(target + "."))], chase=target)
    key = ObjectKey(service["metadata"]["namespace"], service["metadata"]["name"])
    if len(rest) == 2:
        return _ports(zone, name, service, key, rest[0], rest[1], kind)
    if services.is_headless(service):
        targets = [target for target in zone.targets(key) if not rest or target.host.lower() == rest[0]]
        if not targets:
            return Answer(exists=False)
        if kind == "SRV":
            return _target_ports(
                zone, name, key, [(t.address, t.host, p.number) for t in targets for p in t.ports]
            )
        return Answer(_addresses(name, sorted({target.address for target in targets}), kind))
    if rest:
        return Answer(exists=False)
    if kind == "SRV":
        host = f"{key.name}.{key.namespace}.svc.{zone.domain}."
        records = [_record(name, "SRV", SRV(0, 100, port.number, host)) for port in ports_of(service)]
        return Answer(records, _addresses(host, services.cluster_ips_of(service), "ANY"))
    return Answer(_addresses(name, services.cluster_ips_of(service), kind))


def _ports(
    zone: Zone, name: str, service: Object, key: ObjectKey, port_name: str, protocol: str, kind: str
) -> Answer:
    """`_http._tcp.web…`: the port's number, and the name of who serves it."""
    if not (port_name.startswith("_") and protocol.startswith("_")):
        return Answer(exists=False)
    wanted = (port_name[1:], protocol[1:])
    if services.is_headless(service):
        found = [
            (target.address, target.host, port.number)
            for target in zone.targets(key)
            for port in target.ports
            if (port.name.lower(), port.protocol) == wanted
        ]
        if not found:
            return Answer(exists=False)
        return _target_ports(zone, name, key, found) if kind in ("SRV", "ANY") else Answer()
    numbers = [port.number for port in ports_of(service) if (port.name.lower(), port.protocol) == wanted]
    if not numbers:
        return Answer(exists=False)
    if kind not in ("SRV", "ANY"):
        return Answer()
    host = f"{key.name}.{key.namespace}.svc.{zone.domain}."
    records = [_record(name, "SRV", SRV(0, 100, number, host)) for number in numbers]
    return Answer(records, _addresses(host, services.cluster_ips_of(service), "ANY"))


def _target_ports(zone: Zone, name: str, key: ObjectKey, found: list[tuple[str, str, int]]) -> Answer:
    weight = max(1, 100 // len(found))
    answer = Answer()
    for address, host, number in found:
        target = f"{host}.{key.name}.{key.namespace}.svc.{zone.domain}."
        answer.records.append(_record(name, "SRV", SRV(0, weight, number, target)))
        answer.extra += _addresses(target, [address], "ANY")
    return answer


def _pod(zone: Zone, name: str, namespace: str, dashed: str, kind: str) -> Answer:
    if namespace not in zone.namespaces:
        return Answer(exists=False)
    text = (
        dashed.replace("-", ".")
        if dashed.count("-") == 3 and "--" not in dashed
        else dashed.replace("-", ":")
    )
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError:
        return Answer(exists=False)
    return Answer(_addresses(name, [address], kind))


def _reverse(zone: Zone, name: str, address: str, kind: str) -> Answer:
    key = zone.by_address.get(address)
    hosts = zone.host_names(address)
    if key is not None:
        hosts = [f"{key.name}.{key.namespace}.svc.{zone.domain}."]
    if not hosts:
        return Answer(exists=False)
    return Answer([_record(name, "PTR", PTR(host)) for host in hosts] if kind in ("PTR", "ANY") else [])


def _addresses(name: str, addresses: list[str], kind: str) -> list[RR]:
    found = []
    for address in addresses:
        if ":" in address and kind in ("AAAA", "ANY"):
            found.append(_record(name, "AAAA", AAAA(address)))
        elif ":" not in address and kind in ("A", "ANY"):
            found.append(_record(name, "A", A(address)))
    return found


def _record(name: str, kind: str, data: object) -> RR:
    return RR(name.rstrip(".") + ".", getattr(QTYPE, kind), CLASS.IN, TTL, data)
