"""Forget UDP flows that lead to endpoints which are gone: UDP has no reset, so conntrack would keep sending there."""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.component_base import logging
from kube_proxy import metrics
from kube_proxy.backends.backend import BackendError, run
from kube_proxy.family import IPV4, Family
from kube_proxy.ruleset import Rule, Ruleset
from kube_proxy.services import PortName

log = logging.get(__name__)


class Conntrack:
    """Remembers where UDP was allowed to go the last time."""

    def __init__(self, family: Family = IPV4) -> None:
        self._family = family
        self._before: dict[PortName, Rule] = {}

    async def forget_stale(self, ruleset: Ruleset) -> None:
        """Delete flows to endpoints that left, and flows made while a Service had no endpoint."""
        now = {rule.name: rule for rule in ruleset.udp()}
        with metrics.CONNTRACK_SECONDS.labels(self._family.name).time():
            for name in self._before.keys() | now.keys():
                for flow in stale_flows(self._before.get(name), now.get(name)):
                    await self._delete(*flow)
        self._before = now

    async def _delete(self, *match: str) -> None:
        try:
            flows = await run(["conntrack", "-D", "-f", self._family.name.lower(), "-p", "udp", *match])
            metrics.CONNTRACK_DELETED.labels(self._family.name).inc(len(flows.splitlines()))
        except BackendError as error:
            if "0 flow entries" not in str(error):
                log.warning("cannot delete conntrack entries %s: %s", " ".join(match), error)


def stale_flows(old: Rule | None, new: Rule | None) -> Iterable[tuple[str, ...]]:
    """Which flows to delete, in the words of `conntrack -D`."""
    before = {endpoint.ip for endpoint in old.all_endpoints} if old else set()
    after = {endpoint.ip for endpoint in new.all_endpoints} if new else set()
    if old:
        for gone in sorted(before - after):
            yield from ((*way, "--dst-nat", gone) for way in _ways_in(old))
    if new and after and not before:
        yield from _ways_in(new)


def _ways_in(rule: Rule) -> Iterable[tuple[str, ...]]:
    """What a client sends to. Clients of a node port use any address of the node."""
    for address in (rule.port.cluster_ip, *rule.external_addresses):
        yield "--orig-dst", address, "--orig-port-dst", str(rule.port.port)
    if rule.port.node_port:
        yield "--orig-port-dst", str(rule.port.node_port)
