"""Forget UDP flows that lead to endpoints which are gone: UDP has no reset, so conntrack would keep sending there."""

from __future__ import annotations

from kubarium.component_base import logging
from kube_proxy.backends.backend import BackendError, run
from kube_proxy.ruleset import Ruleset
from kube_proxy.services import PortName

log = logging.get(__name__)


class Conntrack:
    """Remembers where UDP was allowed to go the last time."""

    def __init__(self) -> None:
        self._before: dict[PortName, frozenset[str]] = {}

    async def forget_stale(self, ruleset: Ruleset) -> None:
        """Delete flows to endpoints that left, and flows made while a Service had no endpoint."""
        now = ruleset.udp_endpoints()
        ports = {rule.name: rule.port for rule in ruleset.rules}
        for name, endpoints in now.items():
            port = ports[name]
            known = self._before.get(name, frozenset())
            for address in known - endpoints:
                await self._delete("--orig-dst", port.cluster_ip, "--dst-nat", address)
            if endpoints and not known:
                await self._delete("--orig-dst", port.cluster_ip)
                if port.node_port:
                    await self._delete("--orig-port-dst", str(port.node_port))
        self._before = now

    @staticmethod
    async def _delete(*match: str) -> None:
        try:
            await run(["conntrack", "-D", "-p", "udp", *match])
        except BackendError as error:
            if "0 flow entries" not in str(error):
                log.warning("cannot delete conntrack entries %s: %s", " ".join(match), error)
