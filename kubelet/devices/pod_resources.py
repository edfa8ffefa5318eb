"""The socket `pod-resources/kubelet.sock`: monitors ask here which pod has which device."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of
from kubarium.component_base import wire
from kubelet.devices.claims import ClaimManager
from kubelet.devices.manager import DeviceManager
from kubelet.devices.plugins import DevicePlugins

MESSAGES = wire.load(Path(__file__).with_name("pod_resources.proto"))
SERVICE = "v1.PodResourcesLister"


class PodResources:
    """Answers from what the managers have given."""

    def __init__(
        self,
        folder: Path,
        plugins: DevicePlugins,
        devices: DeviceManager,
        claims: ClaimManager,
        pods: Callable[[], list[Object]],
    ) -> None:
        self._folder = folder
        self._plugins = plugins
        self._devices = devices
        self._claims = claims
        self._pods = pods

    async def run(self) -> None:
        """Serve the socket."""
        self._folder.mkdir(parents=True, exist_ok=True)
        socket = self._folder / "kubelet.sock"
        socket.unlink(missing_ok=True)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self._service(),))
        server.add_insecure_port(f"unix://{socket}")
        await server.start()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(None)

    def _service(self) -> Any:
        methods = {
            "List": (self._list, "ListPodResourcesRequest"),
            "GetAllocatableResources": (self._allocatable, "AllocatableResourcesRequest"),
            "Get": (self._get, "GetPodResourcesRequest"),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                serve,
                request_deserializer=MESSAGES[request].FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (serve, request) in methods.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def _list(self, request: Any, context: Any) -> Any:
        pods = [self._of_pod(pod) for pod in self._pods()]
        return MESSAGES["ListPodResourcesResponse"](pod_resources=pods)

    async def _get(self, request: Any, context: Any) -> Any:
        for pod in self._pods():
            if (name_of(pod), namespace_of(pod)) == (request.pod_name, request.pod_namespace):
                return MESSAGES["GetPodResourcesResponse"](pod_resources=self._of_pod(pod))
        text = f"pod {request.pod_name} in namespace {request.pod_namespace} not found"
        return await context.abort(grpc.StatusCode.UNKNOWN, text)

    async def _allocatable(self, request: Any, context: Any) -> Any:
        devices = [
            {"resource_name": one.resource, "device_ids": [id]}
            for one in self._plugins.endpoints()
            for id in one.healthy()
        ]
        cpus = sorted(os.sched_getaffinity(0))
        return MESSAGES["AllocatableResourcesResponse"](devices=devices, cpu_ids=cpus)

    def _of_pod(self, pod: Object) -> dict[str, Any]:
        given = self._devices.given_to(uid_of(pod))
        containers = [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]
        return {
            "name": name_of(pod),
            "namespace": namespace_of(pod),
            "containers": [self._of_container(pod, one, given.get(one["name"], {})) for one in containers],
        }

    def _of_container(self, pod: Object, container: Object, given: dict[str, list[str]]) -> dict[str, Any]:
        claims: dict[str, list[dict[str, Any]]] = {}
        for device in self._claims.devices(pod, container):
            claims.setdefault(device["claim"], []).append(
                {
                    "cdi_devices": [{"name": id} for id in device["cdi"]],
                    "driver_name": device["driver"],
                    "pool_name": device["pool"],
                    "device_name": device["device"],
                }
            )
        return {
            "name": container["name"],
            "devices": [{"resource_name": name, "device_ids": ids} for name, ids in given.items()],
            "dynamic_resources": [
                {"claim_name": name, "claim_namespace": namespace_of(pod), "claim_resources": found}
                for name, found in claims.items()
            ],
        }
