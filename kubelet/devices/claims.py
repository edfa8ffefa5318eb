"""A pod's resource claims -> devices that their drivers have prepared on this node.

    pod.spec.resourceClaims ──▶ ResourceClaim, allocated and reserved for the pod ──▶ each driver: NodePrepareResources
    container.resources.claims ──▶ names of CDI devices
    the last pod that had a claim here has ended ──▶ NodeUnprepareResources
What is prepared is kept in a file: a restarted kubelet must be able to give it back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, status_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.plugin_socket import PluginError
from kubelet import checkpoint
from kubelet.devices.drivers import Drivers, UnknownDriver

log = logging.get(__name__)

Fetch = Callable[[str, str, str], Awaitable[Object | None]]
CHECKPOINT = "dra_manager_state"
EXTENDED = "<extended-resources>"  # no pod can name a claim like this


class NotPrepared(Exception):
    """The pod cannot start yet: a claim of it is not ready on this node."""


class ClaimManager:
    """Prepared claims by uid: whose they are, for which pods, and the devices of each request."""

    def __init__(self, drivers: Drivers, fetch: Fetch, root: Path) -> None:
        self._drivers = drivers
        self._fetch = fetch
        self._file = root / CHECKPOINT
        self._prepared: dict[str, dict[str, Any]] = checkpoint.read(self._file) or {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    # -- prepare ---------------------------------------------------------------------------------------------------

    async def prepare(self, pod: Object) -> None:
        """Have every claim of the pod prepared. Raises NotPrepared."""
        for name, claim_name in claims_of(pod).items():
            if claim_name is None:
                raise NotPrepared(f"prepare dynamic resources: claim for {name} is not made yet")
            if claim_name:
                await self._one(pod, claim_name)

    async def _one(self, pod: Object, name: str) -> None:
        known = self._of(namespace_of(pod), name)
        if known is not None and known["done"] and uid_of(pod) in known["pods"]:
            return
        claim = await self._fetch("ResourceClaim", namespace_of(pod), name)
        text = f"prepare dynamic resources: failed to get ResourceClaim {name}"
        if claim is None:
            raise NotPrepared(f'{text}: resourceclaims "{name}" not found')
        allocation = status_of(claim).get("allocation")
        reserved = {one.get("uid") for one in status_of(claim).get("reservedFor") or []}
        if not allocation or uid_of(pod) not in reserved:
            where = f"{namespace_of(pod)}/{name_of(pod)}"
            raise NotPrepared(f"pod {where}({uid_of(pod)}) is not allowed to use ResourceClaim {name}")
        async with self._locks[uid_of(claim)]:
            await self._prepare(pod, claim, allocation)

    async def _prepare(self, pod: Object, claim: Object, allocation: Object) -> None:
        uid = uid_of(claim)
        results = (allocation.get("devices") or {}).get("results") or []
        entry = self._prepared.setdefault(
            uid,
            {
                "namespace": namespace_of(claim),
                "name": name_of(claim),
                "drivers": sorted({one["driver"] for one in results}),
                "pods": [],
                "devices": [],
                "done": False,
            },
        )
        if uid_of(pod) not in entry["pods"]:
            entry["pods"].append(uid_of(pod))
        self._save()  # before the driver is asked: what may have begun must be given back
        if entry["done"]:
            return
        devices: list[dict[str, Any]] = []
        for driver in entry["drivers"]:
            answer = await self._ask(driver, "NodePrepareResources", uid, entry)
            if answer is None or answer.error:
                reason = answer.error if answer is not None else "no answer for the claim"
                text = f"NodePrepareResources failed for claim {name_of(claim)}: {reason}"
                raise NotPrepared(f"prepare dynamic resources: {text}")
            devices += [
                {
                    "driver": driver,
                    "requests": list(one.request_names),
                    "pool": one.pool_name,
                    "device": one.device_name,
                    "cdi": list(one.cdi_device_ids),
                }
                for one in answer.devices
            ]
        entry["devices"], entry["done"] = devices, True
        self._save()

    async def _ask(self, driver: str, method: str, uid: str, entry: dict[str, Any]) -> Any:
        claim = {"uid": uid, "name": entry["name"], "namespace": entry["namespace"]}
        try:
            return await self._drivers.call(driver, method, claim)
        except (UnknownDriver, PluginError) as error:
            raise NotPrepared(
                f"prepare dynamic resources: {method} of {entry['name']} failed: {error}"
            ) from error

    def _of(self, namespace: str, name: str) -> dict[str, Any] | None:
        for one in self._prepared.values():
            if (one["namespace"], one["name"]) == (namespace, name):
                return one
        return None

    # -- what containers get ---------------------------------------------------------------------------------------

    def cdi_devices(self, pod: Object, container: Object) -> list[str]:
        """Names of the devices of the container's claims."""
        return [id for device in self.devices(pod, container) for id in device["cdi"]]

    def devices(self, pod: Object, container: Object) -> list[dict[str, Any]]:
        """Everything that the container's claims gave it, each with its claim's name."""
        found = []
        for claim, request in wanted_by(pod, container):
            entry = self._of(namespace_of(pod), claim)
            for device in entry["devices"] if entry is not None else ():
                requests = {one.partition("/")[0] for one in device["requests"]} | set(device["requests"])
                if not request or not requests or request in requests:
                    found.append({**device, "claim": entry["name"] if entry else ""})
        return found

    # -- the end ---------------------------------------------------------------------------------------------------

    def pods(self) -> set[str]:
        """For whom something is prepared."""
        return {uid for entry in self._prepared.values() for uid in entry["pods"]}

    async def release(self, pod_uid: str) -> None:
        """The pod has ended: give back what no other pod here needs. Raises NotPrepared."""
        for uid, entry in list(self._prepared.items()):
            if pod_uid not in entry["pods"]:
                continue
            async with self._locks[uid]:
                if entry["pods"] == [pod_uid]:
                    for driver in entry["drivers"]:
                        answer = await self._ask(driver, "NodeUnprepareResources", uid, entry)
                        if answer is not None and answer.error:
                            text = f"NodeUnprepareResources failed for claim {entry['name']}: {answer.error}"
                            raise NotPrepared(text)
                    self._prepared.pop(uid, None)
                else:
                    entry["pods"].remove(pod_uid)
                self._save()
            if uid not in self._prepared:
                self._locks.pop(uid, None)

    def _save(self) -> None:
        try:
            checkpoint.write(self._file, self._prepared)
        except OSError as error:
            log.warning("prepared claims not saved: %s", error)


def claims_of(pod: Object) -> dict[str, str | None]:
    """The pod's names for its claims -> those of the objects; None when a claim is still to be made.

    A claim of a template that turned out not to be needed has an empty name.
    """
    statuses = status_of(pod).get("resourceClaimStatuses") or []
    made = {one["name"]: one.get("resourceClaimName") or "" for one in statuses}
    found: dict[str, str | None] = {}
    for one in spec_of(pod).get("resourceClaims") or []:
        found[one["name"]] = one.get("resourceClaimName") or made.get(one["name"])
    extended = status_of(pod).get("extendedResourceClaimStatus")
    if extended:
        found[EXTENDED] = extended["resourceClaimName"]
    return found


def wanted_by(pod: Object, container: Object) -> list[tuple[str, str]]:
    """Claims and requests of a container: those it names, and those that stand for its extended resources."""
    names = claims_of(pod)
    found = [
        (names.get(one["name"]) or "", one.get("request") or "")
        for one in (container.get("resources") or {}).get("claims") or []
    ]
    extended = status_of(pod).get("extendedResourceClaimStatus") or {}
    for one in extended.get("requestMappings") or []:
        if one["containerName"] == container["name"]:
            found.append((extended["resourceClaimName"], one["requestName"]))
    return found
