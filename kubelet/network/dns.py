"""`/etc/resolv.conf` of a pod, by its DNS policy.

ClusterFirst             cluster DNS, search <namespace>.svc.<domain> svc.<domain> <domain> + the node's, ndots:5
ClusterFirstWithHostNet  the same for pods in the node's network (which with ClusterFirst get the node's)
Default                  what the node has
None                     only what `dnsConfig` says
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of

MAX_SERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARACTERS = 2048
CLUSTER_OPTIONS = ("ndots:5",)
NO_CLUSTER_DNS = (
    'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. '
    'Falling back to "Default" policy.'
)

Warning = tuple[str, str]
"""Reason and text of an event."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """The three parts of a resolver configuration."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Sequence[str]]:
        """In the runtime's words."""
        return {"servers": self.servers, "searches": self.searches, "options": self.options}


@dataclass(frozen=True, slots=True)
class ClusterDNS:
    """What this kubelet was told about the cluster's DNS."""

    servers: tuple[str, ...] = ()
    domain: str = ""
    node_file: str = "/etc/resolv.conf"
    node: Resolver | None = field(default=None)  # for tests: instead of the file

    def of_node(self) -> Resolver:
        """The node's own configuration."""
        if self.node is not None:
            return self.node
        try:
            return parse(Path(self.node_file).read_text())
        except OSError:
            return Resolver()


def parse(text: str) -> Resolver:
    """Read a `resolv.conf`."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words[:1]:
            case ["nameserver"]:
                servers += words[1:2]
            case ["search"]:
                searches = tuple(word.rstrip(".") or "." for word in words[1:])
            case ["options"]:
                options += tuple(words[1:])
    return Resolver(tuple(servers), searches, options)


def resolver_of(pod: Object, cluster: ClusterDNS) -> tuple[Resolver, list[Warning]]:
    """The configuration for one pod, and what it could not get as it wants."""
    warnings = []
    spec = spec_of(pod)
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy == "Default":
        base = cluster.of_node()
    elif not cluster.servers:
        base = cluster.of_node()
        where = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        warnings.append(("MissingClusterDNS", f'pod: "{where}". {NO_CLUSTER_DNS}'))
    else:
        base = _cluster_first(pod, cluster)
    return _limit(_with_config(base, spec.get("dnsConfig") or {}), warnings)


def _cluster_first(pod: Object, cluster: ClusterDNS) -> Resolver:
    searches: tuple[str, ...] = ()
    if cluster.domain:
        searches = (f"{namespace_of(pod)}.svc.{cluster.domain}", f"svc.{cluster.domain}", cluster.domain)
    return Resolver(cluster.servers, _unique((*searches, *cluster.of_node().searches)), CLUSTER_OPTIONS)


def _with_config(base: Resolver, config: Object) -> Resolver:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in config.get("options") or []:
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    return Resolver(
        _unique((*base.servers, *(config.get("nameservers") or []))),
        _unique((*base.searches, *(config.get("searches") or []))),
        tuple(options.values()),
    )


def _limit(resolver: Resolver, warnings: list[Warning]) -> tuple[Resolver, list[Warning]]:
    servers, searches = resolver.servers[:MAX_SERVERS], resolver.searches[:MAX_SEARCHES]
    while len(" ".join(searches)) > MAX_SEARCH_CHARACTERS:
        searches = searches[:-1]
    if servers != resolver.servers:
        applied = f"the applied nameserver line is: {' '.join(servers)}"
        text = f"Nameserver limits were exceeded, some nameservers have been omitted, {applied}"
        warnings = [*warnings, ("DNSConfigForming", text)]
    if searches != resolver.searches:
        applied = f"the applied search line is: {' '.join(searches)}"
        text = f"Search Line limits were exceeded, some search paths have been omitted, {applied}"
        warnings = [*warnings, ("DNSConfigForming", text)]
    return Resolver(servers, searches, resolver.options), warnings


def _unique(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
