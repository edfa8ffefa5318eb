"""The heartbeat: a Lease in `kube-node-lease`, renewed every ten seconds."""

from __future__ import annotations

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, copy, uid_of
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

NAMESPACE = "kube-node-lease"
DURATION = 40  # seconds after which the node counts as silent


class LeaseKeeper:
    """Renews one Lease."""

    def __init__(self, client: Client, node_name: str, clock: Clock, duration: int = DURATION) -> None:
        self._leases = client.resource("coordination.k8s.io/v1", "leases")
        self._nodes = client.resource("v1", "nodes")
        self._name = node_name
        self._clock = clock
        self._duration = duration
        self._last: Object | None = None

    async def run(self) -> None:
        """Renew at a quarter of the duration; try again soon after a failure."""
        while True:
            wait = self._duration / 4
            try:
                await self.renew()
            except (errors.StatusError, OSError, TimeoutError) as error:
                log.warning("lease not renewed: %s", error)
                self._last = None
                wait = 2.0
            except Exception:
                log.exception("lease not renewed")
                self._last = None
            await self._clock.sleep(wait)

    async def renew(self) -> None:
        """Write the present time into the Lease; make it if it is not there."""
        if self._last is None:
            try:
                self._last = await self._leases.get(self._name, NAMESPACE)
            except errors.NotFound:
                self._last = await self._leases.create(await self._new())
                return
        lease = copy(self._last)
        lease["spec"] = {**(lease.get("spec") or {}), **self._spec()}
        if not (lease["metadata"].get("ownerReferences")):
            lease["metadata"]["ownerReferences"] = await self._owner()
        self._last = await self._leases.update(lease)

    def _spec(self) -> Object:
        return {
            "holderIdentity": self._name,
            "leaseDurationSeconds": self._duration,
            "renewTime": time.format_micro_time(self._clock.now()),
        }

    async def _new(self) -> Object:
        metadata: Object = {"name": self._name, "namespace": NAMESPACE}
        owner = await self._owner()
        if owner:
            metadata["ownerReferences"] = owner
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": self._spec(),
        }

    async def _owner(self) -> list[Object]:
        """The Lease goes with the Node."""
        try:
            node = await self._nodes.get(self._name)
        except errors.NotFound:
            return []
        return [{"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": uid_of(node)}]
