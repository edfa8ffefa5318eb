"""A pod's limits -> devices. What was given is kept in a file: running containers have their devices for good.

    limits of a container ──▶ already given? ──▶ healthy and free ──▶ the plugin's preference ──▶ Allocate ──▶ given
An init container's devices go over to the containers that run after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import fields
from kubarium.api.core.pod.resources import is_extended, is_restartable_init
from kubarium.apimachinery.object import Object, uid_of
from kubarium.component_base import logging
from kubarium.component_base.plugin_socket import PluginError
from kubelet import checkpoint, metrics
from kubelet.devices import edits
from kubelet.devices.edits import Edits
from kubelet.devices.plugins import DevicePlugins, Endpoint

log = logging.get(__name__)

CHECKPOINT = "kubelet_internal_checkpoint"


class Unexpected(Exception):
    """The pod cannot have its devices, although the scheduler thought so: it fails."""

    reason = "UnexpectedAdmissionError"


class DeviceManager:
    """Given devices by pod, container and resource."""

    def __init__(
        self, plugins: DevicePlugins, folder: Path, active: Callable[[], Iterable[str] | None]
    ) -> None:
        self._plugins = plugins
        self._file = folder / CHECKPOINT
        self._active = active  # uids of pods that may keep their devices; None while that is not known
        self._given: dict[str, dict[str, dict[str, dict[str, Any]]]] = checkpoint.read(self._file) or {}

    async def allocate(self, pod: Object) -> None:
        """Give every container its devices, if it has not got them yet. Raises Unexpected."""
        uid = uid_of(pod)
        reusable: dict[str, list[str]] = {}
        for container in [*pod_containers.init_containers_of(pod), *pod_containers.containers_of(pod)]:
            is_init = pod_containers.is_init(pod, container)
            for resource, count in fields.amounts_of(container, "limits").items():
                if count and self._is_ours(resource):
                    ids = await self._container(uid, container["name"], resource, count, reusable)
                    left = reusable.setdefault(resource, [])
                    if is_init and not is_restartable_init(container):
                        left += [id for id in ids if id not in left]
                    else:
                        reusable[resource] = [id for id in left if id not in ids]

    def _is_ours(self, resource: str) -> bool:
        if not is_extended(resource):
            return False
        known = self._plugins.endpoint(resource) is not None
        return known or any(resource in given for pod in self._given.values() for given in pod.values())

    async def _container(
        self, uid: str, name: str, resource: str, count: int, reusable: dict[str, list[str]]
    ) -> list[str]:
        given = self._given.get(uid, {}).get(name, {}).get(resource)
        if given is not None:
            return list(given["ids"])
        endpoint = self._plugins.endpoint(resource)
        if endpoint is None:
            raise Unexpected(
                f"Allocate failed due to can't allocate unregistered device {resource}, which is unexpected"
            )
        must = [id for id in reusable.get(resource, []) if endpoint.health_of(id) == "Healthy"][:count]
        free = self._free(endpoint)
        if len(free) + len(must) < count:
            raise Unexpected(
                f"Allocate failed due to requested number of devices unavailable for {resource}. "
                f"Requested: {count}, Available: {len(free)}, which is unexpected"
            )
        ids = await self._choose(endpoint, free, must, count)
        self._keep(uid, name, resource, ids, await self._ask(endpoint, ids))
        return ids

    def _free(self, endpoint: Endpoint) -> list[str]:
        active = self._active()
        if active is not None:
            for uid in set(self._given).difference(active):
                del self._given[uid]
        taken = {
            id
            for pod in self._given.values()
            for container in pod.values()
            for id in container.get(endpoint.resource, {}).get("ids", ())
        }
        return [id for id in endpoint.healthy() if id not in taken]

    async def _choose(self, endpoint: Endpoint, free: list[str], must: list[str], count: int) -> list[str]:
        """Those of the init containers first, then what the plugin prefers, then any."""
        chosen = list(must)
        if endpoint.prefers and len(chosen) < count:
            asked = {
                "available_deviceIDs": [*free, *(id for id in must if id not in free)],
                "must_include_deviceIDs": must,
                "allocation_size": count,
            }
            try:
                answer = await endpoint.socket.call(
                    "GetPreferredAllocation",
                    "PreferredAllocationRequest",
                    "PreferredAllocationResponse",
                    container_requests=[asked],
                )
            except PluginError as error:
                raise Unexpected(f"Allocate failed due to {error}, which is unexpected") from error
            for response in answer.container_responses:
                chosen += [id for id in response.deviceIDs if id in free and id not in chosen]
        chosen += [id for id in free if id not in chosen]
        return chosen[:count]

    @staticmethod
    async def _ask(endpoint: Endpoint, ids: list[str]) -> Edits:
        try:
            with metrics.DEVICE_SECONDS.timed((endpoint.resource,)):
                answer = await endpoint.socket.call("Allocate", container_requests=[{"devices_ids": ids}])
        except PluginError as error:
            raise Unexpected(f"Allocate failed due to {error}, which is unexpected") from error
        if not answer.container_responses:
            raise Unexpected("Allocate failed due to no containers return in allocation response")
        found = answer.container_responses[0]
        return Edits(
            environment=dict(found.envs),
            mounts=tuple(
                {"container_path": one.container_path, "host_path": one.host_path, "readonly": one.read_only}
                for one in found.mounts
            ),
            devices=tuple(
                {
                    "container_path": one.container_path,
                    "host_path": one.host_path,
                    "permissions": one.permissions,
                }
                for one in found.devices
            ),
            annotations=dict(found.annotations),
            cdi=tuple(one.name for one in found.cdi_devices),
        )

    def _keep(self, uid: str, name: str, resource: str, ids: list[str], found: Edits) -> None:
        of_pod = self._given.setdefault(uid, {})
        of_pod.setdefault(name, {})[resource] = {"ids": ids, "edits": edits.as_dict(found)}
        self._save()

    # -- what containers get ---------------------------------------------------------------------------------------

    async def prepare(self, pod: Object, container: Object) -> Edits:
        """What the container must be given; plugins that want it are told that it starts. Raises PluginError."""
        given = self._given.get(uid_of(pod), {}).get(container["name"], {})
        for resource, one in given.items():
            endpoint = self._plugins.endpoint(resource)
            if endpoint is not None and endpoint.pre_start:
                await endpoint.socket.call("PreStartContainer", deadline=30, devices_ids=one["ids"])
        return edits.merged(edits.from_dict(one["edits"]) for one in given.values())

    def given_to(self, pod_uid: str) -> dict[str, dict[str, list[str]]]:
        """Ids of devices by container and resource."""
        found = self._given.get(pod_uid, {})
        return {
            name: {resource: list(one["ids"]) for resource, one in given.items()}
            for name, given in found.items()
        }

    def health(self, pod_uid: str, container: str) -> list[Object]:
        """The container's `allocatedResourcesStatus`."""
        found = []
        for resource, ids in self.given_to(pod_uid).get(container, {}).items():
            endpoint = self._plugins.endpoint(resource)
            states = [
                {"resourceID": id, "health": endpoint.health_of(id) if endpoint else "Unknown"} for id in ids
            ]
            found.append({"name": resource, "resources": states})
        return found

    def pods(self) -> set[str]:
        """Who has devices."""
        return set(self._given)

    def forget(self, pod_uid: str) -> None:
        """The pod has ended: its devices are free."""
        if self._given.pop(pod_uid, None) is not None:
            self._save()

    def _save(self) -> None:
        try:
            checkpoint.write(self._file, self._given)
        except OSError as error:
            log.warning("given devices not saved: %s", error)
