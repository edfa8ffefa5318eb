"""Device plugins: each offers the devices of one resource, and says when one falls ill.

    Register, or a socket in plugins_registry ──▶ an endpoint ──▶ ListAndWatch: the devices and their health
A plugin that goes leaves its resource without a healthy device; five minutes later the node no longer has it at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from kubarium.api.core.pod import resources
from kubarium.component_base import logging, wire
from kubarium.component_base.clock import Clock
from kubarium.component_base.plugin_socket import PluginError, PluginSocket
from kubelet import metrics
from kubelet.plugins.watcher import RegistrationError

log = logging.get(__name__)

MESSAGES = wire.load(Path(__file__).with_name("device_plugin.proto"))
SERVICE, REGISTRATION = "v1beta1.DevicePlugin", "v1beta1.Registration"
VERSION = "v1beta1"
HEALTHY, UNHEALTHY, UNKNOWN = "Healthy", "Unhealthy", "Unknown"
GRACE = 300.0  # seconds for which the resource of a plugin that went stays in the node's capacity


@dataclass
class Endpoint:
    """A plugin, and its devices as it told them last."""

    resource: str
    socket: PluginSocket
    pre_start: bool = False
    prefers: bool = False
    devices: dict[str, Any] = field(default_factory=dict)
    stopped_at: float | None = None
    task: asyncio.Task[None] | None = None

    def healthy(self) -> list[str]:
        """Ids of devices that can be given away."""
        if self.stopped_at is not None:
            return []
        return [id for id, device in self.devices.items() if device.health == HEALTHY]

    def health_of(self, id: str) -> str:
        """Of one device."""
        if self.stopped_at is not None or id not in self.devices:
            return UNKNOWN
        return HEALTHY if self.devices[id].health == HEALTHY else UNHEALTHY


class DevicePlugins:
    """The kubelet's socket for plugins, and handler of plugins of the kind `DevicePlugin`."""

    kind = "DevicePlugin"

    def __init__(self, folder: Path, clock: Clock, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._clock = clock
        self._changed = changed
        self._endpoints: dict[str, Endpoint] = {}
        self._gone: set[str] = set()  # once offered: the node goes on to say that it has none
        self._tasks: asyncio.TaskGroup | None = None

    # -- what there is ---------------------------------------------------------------------------------------------

    def endpoint(self, resource: str) -> Endpoint | None:
        """Who offers a resource."""
        return self._endpoints.get(resource)

    def endpoints(self) -> Iterable[Endpoint]:
        """All of them."""
        return list(self._endpoints.values())

    def amounts(self) -> tuple[dict[str, str], dict[str, str]]:
        """Capacity and allocatable of the node, by resource."""
        now = self._clock.monotonic()
        for resource, endpoint in list(self._endpoints.items()):
            if endpoint.stopped_at is not None and now - endpoint.stopped_at > GRACE:
                del self._endpoints[resource]
                self._gone.add(resource)
        none = dict.fromkeys(self._gone - set(self._endpoints), "0")
        capacity = none | {name: str(len(one.devices)) for name, one in self._endpoints.items()}
        allocatable = none | {name: str(len(one.healthy())) for name, one in self._endpoints.items()}
        return capacity, allocatable

    # -- registration ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the socket where plugins register, and listen to those that did."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in self._folder.glob("*"):
            if file.is_socket():
                file.unlink()  # plugins take the new socket of a kubelet as the sign to register again
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self._service(),))
        server.add_insecure_port(f"unix://{self._folder / 'kubelet.sock'}")
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await server.start()
            try:
                await server.wait_for_termination()
            finally:
                self._tasks = None
                await server.stop(None)
                for endpoint in self.endpoints():
                    await endpoint.socket.close()

    def _service(self) -> Any:
        async def register(request: Any, context: Any) -> Any:
            options = request.options
            try:
                await self._add(
                    request.resource_name,
                    str(self._folder / request.endpoint),
                    [request.version],
                    options,
                )
            except RegistrationError as error:
                await context.abort(grpc.StatusCode.UNKNOWN, str(error))
            return MESSAGES["Empty"]()

        handler = grpc.unary_unary_rpc_method_handler(
            register,
            request_deserializer=MESSAGES["RegisterRequest"].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        return grpc.method_handlers_generic_handler(REGISTRATION, {"Register": handler})

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """A plugin that was found by its socket: it is asked for its options."""
        socket = PluginSocket(endpoint, MESSAGES, SERVICE)
        try:
            options = await socket.call("GetDevicePluginOptions", "Empty", "DevicePluginOptions", 10)
        finally:
            await socket.close()
        await self._add(name, endpoint, versions, options)

    async def deregister(self, name: str, endpoint: str) -> None:
        """Its socket is gone."""
        found = self._endpoints.get(name)
        if found is not None and found.socket.endpoint == endpoint:
            await self._stop(found)

    async def _add(self, resource: str, path: str, versions: Sequence[str], options: Any) -> None:
        if VERSION not in versions:
            raise RegistrationError(
                f'requested API version "{", ".join(versions)}" is not supported by kubelet. '
                f'Supported version is ["{VERSION}"]'
            )
        if not resources.is_extended(resource):
            text = f'the ResourceName "{resource}" is invalid'
            raise RegistrationError(text)
        if self._tasks is None:
            raise RegistrationError("the kubelet does not take device plugins yet")
        before = self._endpoints.get(resource)
        if before is not None:
            await self._stop(before)
        endpoint = Endpoint(
            resource,
            PluginSocket(path, MESSAGES, SERVICE),
            pre_start=options.pre_start_required,
            prefers=options.get_preferred_allocation_available,
        )
        if before is not None:
            endpoint.devices = before.devices
        self._endpoints[resource] = endpoint
        endpoint.task = self._tasks.create_task(self._listen(endpoint))
        metrics.DEVICE_PLUGINS.add((resource,))
        log.info("device plugin registered for %s at %s", resource, path)

    async def _stop(self, endpoint: Endpoint) -> None:
        if endpoint.task is not None and not endpoint.task.done():
            endpoint.task.cancel()
            await asyncio.wait([endpoint.task])
        await endpoint.socket.close()

    async def _listen(self, endpoint: Endpoint) -> None:
        """Hear of devices until the plugin ends."""
        try:
            async for message in endpoint.socket.stream("ListAndWatch", "Empty", "ListAndWatchResponse"):
                endpoint.devices = {device.ID: device for device in message.devices}
                self._changed()
        except PluginError as error:
            log.info("device plugin of %s ended: %s", endpoint.resource, error)
        except Exception:  # the edge of this task
            log.exception("device plugin of %s not heard any more", endpoint.resource)
        finally:
            endpoint.stopped_at = self._clock.monotonic()
            self._changed()
