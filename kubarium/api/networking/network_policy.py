"""NetworkPolicy: who may talk to whom."""

from __future__ import annotations

from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object

PROTOCOLS = ("TCP", "UDP", "SCTP")
POLICY_TYPES = ("Ingress", "Egress")


def fill_defaults(policy: Object) -> None:
    """Ports are TCP; a policy is about what comes in, and about what goes out when it says so."""
    spec = policy.setdefault("spec", {})
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            if port.get("protocol") is None:
                port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(policy: Object) -> list[FieldError]:
    """Selectors, ports, peers and directions."""
    spec = policy.get("spec") or {}
    found = validate_label_selector(spec.get("podSelector"), SPEC / "podSelector")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or []):
            at = SPEC / direction % index
            for number, port in enumerate((rule or {}).get("ports") or []):
                found += _port(port, (at / "ports") % number)
            for number, peer in enumerate((rule or {}).get(side) or []):
                found += _peer(peer, (at / side) % number)
    types = spec.get("policyTypes") or []
    if len(types) > len(POLICY_TYPES):
        why = "may not specify more than two policyTypes"
        return [*found, invalid(SPEC / "policyTypes", types, why)]
    for index, kind in enumerate(types):
        if kind not in POLICY_TYPES:
            found.append(not_supported((SPEC / "policyTypes") % index, kind, POLICY_TYPES))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def _port(port: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if port.get("protocol") is not None and port["protocol"] not in PROTOCOLS:
        found.append(not_supported(path / "protocol", port["protocol"], PROTOCOLS))
    first, last = port.get("port"), port.get("endPort")
    if first is None:
        if last is not None:
            found.append(invalid(path / "endPort", last, "may not be specified when `port` is not specified"))
        return found
    if isinstance(first, str):
        if last is not None:
            found.append(invalid(path / "endPort", last, "may not be specified when `port` is non-numeric"))
    elif last is not None:
        if last < first:
            found.append(invalid(path / "endPort", last, "must be greater than or equal to `port`"))
        found += rules.port_number(path / "endPort", last)
    return [*rules.port(path / "port", first), *found]


def _peer(peer: Object, path: FieldPath) -> list[FieldError]:
    given = [kind for kind in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(kind) is not None]
    found: list[FieldError] = []
    for kind in given:
        if kind == "ipBlock":
            found += _block(peer[kind], path / kind)
        else:
            found += validate_label_selector(peer[kind], path / kind)
    if not given:
        found.append(required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        found.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return found


def _block(block: Object, path: FieldPath) -> list[FieldError]:
    if not block.get("cidr"):
        return [required(path / "cidr")]
    found = rules.address_block(path / "cidr", block["cidr"])
    whole = rules.block_of(block["cidr"])
    if whole is None:
        return found
    for index, text in enumerate(block.get("except") or []):
        at = (path / "except") % index
        found += rules.address_block(at, text)
        part = rules.block_of(text)
        if part is not None and not (
            part.version == whole.version
            and part.network_address in whole
            and part.prefixlen > whole.prefixlen
        ):
            found.append(invalid(at, text, "must be a strict subset of `cidr`"))
    return found
