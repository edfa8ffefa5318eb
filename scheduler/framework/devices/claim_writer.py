"""Writes allocations and reservations into claims, and takes them back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from kubarium.api.resource import resource_claim as claims
from kubarium.apimachinery import time
from kubarium.apimachinery.errors import Conflict, NotFound, StatusError
from kubarium.apimachinery.object import Object, copy, finalizers_of, name_of, namespace_of, status_of, uid_of
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from scheduler.framework import metrics
from scheduler.framework.devices.extended_resources import Requests
from scheduler.framework.devices.manager import API_VERSION, Devices
from scheduler.framework.pod_info import PodInfo

log = logging.get(__name__)

TRIES = 5  # where somebody else changed the claim meanwhile
POLL = 1.0  # seconds between looks whether the drivers are ready


class BindingFailed(Exception):
    """A device says that it will not be ready, or says nothing for too long."""


class ClaimWriter:
    """The only one who writes claims here; what it wrote counts at once."""

    def __init__(self, client: Client, clock: Clock, devices: Devices) -> None:
        self._claims = client.resource(API_VERSION, "resourceclaims")
        self._pods = client.resource("v1", "pods")
        self._clock, self._devices = clock, devices

    async def reserve(self, claim: Object, allocation: Object | None, pod: PodInfo) -> Object:
        """Let the pod use the claim; with an allocation, if it has none yet."""

        async def attempt(newest: Object) -> Object:
            if uid_of(newest) != uid_of(claim):
                raise claims.ClaimError(
                    f"claim {namespace_of(claim)}/{name_of(claim)} was deleted and made again"
                )
            if "deletionTimestamp" in newest["metadata"]:
                raise claims.ClaimError(f"claim {name_of(claim)} got deleted in the meantime")
            changed = copy(newest)
            if allocation is not None:
                if claims.allocation_of(newest) is not None:
                    name = f"{namespace_of(claim)}/{name_of(claim)}"
                    raise claims.ClaimError(f"claim {name} got allocated elsewhere in the meantime")
                if not claims.has_finalizer(newest):
                    changed["metadata"]["finalizers"] = [*finalizers_of(newest), claims.FINALIZER]
                    changed = copy(await self._claims.update(changed))
                moment = time.format_time(self._clock.now())
                changed.setdefault("status", {})["allocation"] = {**allocation, "allocationTimestamp": moment}
            more = {"resource": "pods", "name": pod.name, "uid": pod.uid}
            changed["status"]["reservedFor"] = [*claims.consumers_of(newest), more]
            return await self._claims.update_status(changed)

        return await self._retried(claim, attempt)

    async def create(self, claim: Object, requests: Requests, allocation: Object, pod: PodInfo) -> Object:
        """Make the claim for extended resources, give it its devices, and tell the pod of it."""
        fresh = copy(claim)
        for key in ("name", "uid"):
            del fresh["metadata"][key]
        made = await self._reserve_new(await self._create(fresh), allocation, pod)
        told = {"resourceClaimName": name_of(made), "requestMappings": requests.mappings}
        body = {"metadata": {"uid": pod.uid}, "status": {"extendedResourceClaimStatus": told}}
        await self._pods.patch(pod.name, body, pod.namespace, type="strategic", subresource="status")
        return made

    async def _create(self, claim: Object) -> Object:
        status = "failure"
        try:
            made = await self._claims.create(claim)
            status = "success"
            return made
        finally:
            metrics.claim_creations.labels(status).inc()

    async def _reserve_new(self, claim: Object, allocation: Object, pod: PodInfo) -> Object:
        try:
            return await self.reserve(claim, allocation, pod)
        except (StatusError, claims.ClaimError):
            await self.delete(claim)
            raise

    async def unreserve(self, claim: Object, uid: str) -> None:
        """The pod will not use it after all. Devices whose drivers had to be waited for are given back as well."""

        async def attempt(newest: Object) -> Object:
            changed = copy(newest)
            left = [one for one in claims.consumers_of(newest) if one.get("uid") != uid]
            changed["status"]["reservedFor"] = left
            if not left and _waiting_conditions(newest):
                for key in ("reservedFor", "allocation", "devices"):
                    changed["status"].pop(key, None)
            return await self._claims.update_status(changed)

        try:
            await self._retried(claim, attempt)
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("claim %s keeps its reservation: %s", name_of(claim), error or type(error).__name__)

    async def deallocate(self, claim: Object) -> None:
        """Give the devices of a claim back that nobody uses."""
        changed = copy(claim)
        for key in ("reservedFor", "allocation", "devices"):
            changed["status"].pop(key, None)
        self._devices.wrote(await self._claims.update_status(changed))

    async def delete(self, claim: Object) -> None:
        """A claim that the scheduler made for extended resources goes."""

        async def attempt(newest: Object) -> Object:
            changed = copy(newest)
            changed["metadata"]["finalizers"] = [
                one for one in finalizers_of(newest) if one != claims.FINALIZER
            ]
            return await self._claims.update(changed)

        try:
            await self._retried(claim, attempt)
            await self._claims.delete(name_of(claim), namespace_of(claim))
        except NotFound:
            return

    async def wait_for_drivers(self, found: Sequence[Object], seconds: float) -> None:
        """Until all devices with binding conditions report them. Raises BindingFailed."""
        waiting = [claim for claim in found if _waiting_conditions(claim)]
        deadline = self._clock.monotonic() + seconds
        while waiting:
            newest = [self._devices.claim(namespace_of(claim), name_of(claim)) or claim for claim in waiting]
            waiting = [claim for claim in newest if not _is_ready(claim)]
            if not waiting:
                return
            if self._clock.monotonic() > deadline:
                raise BindingFailed("timed out waiting for the binding conditions of the claim's devices")
            await self._clock.sleep(POLL)

    async def _retried(self, claim: Object, attempt: Callable[[Object], Awaitable[Object]]) -> Object:
        newest = claim
        for left in reversed(range(TRIES)):
            try:
                written = await attempt(newest)
                self._devices.wrote(written)
                return written
            except Conflict:
                if not left:
                    raise
                newest = await self._claims.get(name_of(claim), namespace_of(claim))
        raise AssertionError("the last try returns or raises")


def _waiting_conditions(claim: Object) -> list[Object]:
    """The allocated devices that must report something before pods are bound."""
    allocation = claims.allocation_of(claim) or {}
    return [
        one for one in (allocation.get("devices") or {}).get("results") or () if one.get("bindingConditions")
    ]


def _is_ready(claim: Object) -> bool:
    told = {_key(one): one.get("conditions") or [] for one in status_of(claim).get("devices") or ()}
    for device in _waiting_conditions(claim):
        states = {one["type"]: one["status"] for one in told.get(_key(device), ())}
        for name in device.get("bindingFailureConditions") or ():
            if states.get(name) == "True":
                raise BindingFailed(f"claim {name_of(claim)} binding failed: {name} is true")
        if any(states.get(name) != "True" for name in device["bindingConditions"]):
            return False
    return True


def _key(device: Object) -> tuple[str, str, str]:
    return device["driver"], device["pool"], device["device"]
