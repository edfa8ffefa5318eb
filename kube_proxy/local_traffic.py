"""What counts as traffic from pods: `--detect-local-mode`. Pure.

Source: KEP-2450. Such traffic to a Service keeps its source address, and is spared `externalTrafficPolicy: Local`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kube_proxy.family import IPV4, Family, family_of


@dataclass(frozen=True, slots=True)
class LocalTraffic:
    """From these addresses, or by this interface; a name that ends in `+` is the beginning of several."""

    cidr: str = ""
    interface: str = ""

    def iptables(self, local: bool) -> str:
        """The match of what is local, or of what is not."""
        match = f"-s {self.cidr}" if self.cidr else f"-i {self.interface}"
        return match if local else f"! {match}"

    def nft(self, local: bool) -> str:
        """The same for nft, where any beginning ends in `*`."""
        equals = "" if local else "!= "
        if self.cidr:
            return f"{family_of(self.cidr).nft} saddr {equals}{self.cidr}"
        return f'iifname {equals}"{self.interface.replace("+", "*")}"'


def detector(
    mode: str,
    family: Family = IPV4,
    *,
    cluster_cidr: str = "",
    node_cidr: str = "",
    bridge: str = "",
    prefix: str = "",
) -> LocalTraffic | None:
    """How to know local traffic; None if that is not known: then nothing is masqueraded for being foreign."""
    if mode == "BridgeInterface":
        return LocalTraffic(interface=bridge)
    if mode == "InterfaceNamePrefix":
        return LocalTraffic(interface=f"{prefix}+")
    cidrs = family.of(filter(None, (node_cidr if mode == "NodeCIDR" else cluster_cidr).split(",")))
    return LocalTraffic(cidr=cidrs[0]) if cidrs else None
