"""A CSI driver whose volumes are directories: the node side, as a process inside a node.

    python -m tests.cluster.csi_driver NAME NODE FOLDER [capability ...]

Whatever it is asked is written, a JSON line each, to FOLDER/calls; the test reads that, and plays the controller side
(provisioner, attacher, resizer) itself. A file FOLDER/fail.<call> makes that call fail with its content as the reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from kubelet.plugins import watcher
from kubelet.volumes import mounts
from kubelet.volumes.csi import node_client

CAPABILITIES = {
    "stage": node_client.STAGE,
    "stats": node_client.STATS,
    "expand": node_client.EXPAND,
    "group": node_client.MOUNT_GROUP,
}
KUBELET = Path("/var/lib/kubelet")
ZONE = "topology.csi.test/zone"
MAX_VOLUMES = 5


class Driver:
    """The service Node."""

    def __init__(self, name: str, node: str, folder: Path, capabilities: list[str]) -> None:
        self.name, self.node, self.folder = name, node, folder
        self.capabilities = [CAPABILITIES[one] for one in capabilities]

    def note(self, call: str, request: Any) -> None:
        """Write down what was asked, or refuse."""
        failure = self.folder / f"fail.{call}"
        with (self.folder / "calls").open("a") as file:
            said = json_format.MessageToDict(request, preserving_proto_field_name=True)
            file.write(json.dumps({"call": call, "failed": failure.exists(), **said}) + "\n")
        if failure.exists():
            raise Refused(failure.read_text().strip())

    def volume(self, handle: str) -> Path:
        place = self.folder / "volumes" / handle
        place.mkdir(parents=True, exist_ok=True)
        return place

    def get_info(self, request: Any) -> dict[str, Any]:
        topology = {"segments": {ZONE: f"zone-of-{self.node}"}}
        return {
            "node_id": f"id-of-{self.node}",
            "max_volumes_per_node": MAX_VOLUMES,
            "accessible_topology": topology,
        }

    def get_capabilities(self, request: Any) -> dict[str, Any]:
        return {"capabilities": [{"rpc": {"type": one}} for one in self.capabilities]}

    def stage(self, request: Any) -> dict[str, Any]:
        if not mounts.is_mount_point(request.staging_target_path):
            bind(self.volume(request.volume_id), request.staging_target_path)
        return {}

    def unstage(self, request: Any) -> dict[str, Any]:
        unmount(request.staging_target_path)
        return {}

    def publish(self, request: Any) -> dict[str, Any]:
        source = request.staging_target_path or self.volume(request.volume_id)
        os.makedirs(request.target_path, exist_ok=True)
        if not mounts.is_mount_point(request.target_path):
            bind(source, request.target_path, read_only=request.readonly)
        return {}

    def unpublish(self, request: Any) -> dict[str, Any]:
        unmount(request.target_path)
        if os.path.isdir(request.target_path):
            os.rmdir(request.target_path)
        return {}

    def stats(self, request: Any) -> dict[str, Any]:
        return {"usage": [{"available": 70, "total": 100, "used": 30, "unit": node_client.BYTES}]}

    def expand(self, request: Any) -> dict[str, Any]:
        return {"capacity_bytes": request.capacity_range.required_bytes}


class Refused(Exception):
    """The test wants this call to fail."""


def bind(source: Any, target: Any, read_only: bool = False) -> None:
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    if read_only:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(target)], check=True)


def unmount(target: str) -> None:
    if mounts.is_mount_point(target):
        subprocess.run(["umount", target], check=True)


METHODS = {
    "NodeGetInfo": Driver.get_info,
    "NodeGetCapabilities": Driver.get_capabilities,
    "NodeStageVolume": Driver.stage,
    "NodeUnstageVolume": Driver.unstage,
    "NodePublishVolume": Driver.publish,
    "NodeUnpublishVolume": Driver.unpublish,
    "NodeGetVolumeStats": Driver.stats,
    "NodeExpandVolume": Driver.expand,
}


def node_service(driver: Driver) -> Any:
    """The service as gRPC wants it."""
    handlers = {}
    for name, method in METHODS.items():

        async def serve(request: Any, context: Any, name: str = name, method: Any = method) -> Any:
            try:
                driver.note(name, request)
                return node_client.MESSAGES[f"{name}Response"](**method(driver, request))
            except Refused as error:
                code, _, text = str(error).partition(" ")
                await context.abort(grpc.StatusCode[code], text)

        handlers[name] = handler(serve, node_client.MESSAGES[f"{name}Request"])
    return grpc.method_handlers_generic_handler(node_client.SERVICE, handlers)


def handler(serve: Callable[[Any, Any], Awaitable[Any]], request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        serve,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def registration(info: dict[str, Any], folder: Path) -> Any:
    """The service that the kubelet's watcher asks."""

    async def get_info(request: Any, context: Any) -> Any:
        return watcher.MESSAGES["PluginInfo"](**info)

    async def notify(request: Any, context: Any) -> Any:
        said = {"registered": request.plugin_registered, "error": request.error}
        (folder / "registration").write_text(json.dumps(said))
        return watcher.MESSAGES["RegistrationStatusResponse"]()

    handlers = {
        "GetInfo": handler(get_info, watcher.MESSAGES["InfoRequest"]),
        "NotifyRegistrationStatus": handler(notify, watcher.MESSAGES["RegistrationStatus"]),
    }
    return grpc.method_handlers_generic_handler(watcher.SERVICE, handlers)


async def listen(socket: Path, service: Any) -> Any:
    """A server on a socket of its own."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix://{socket}")
    await server.start()
    return server


def serves_at(name: str) -> Path:
    return KUBELET / "plugins" / name / "csi.sock"


def registered_at(name: str) -> Path:
    return KUBELET / "plugins_registry" / f"{name}-reg.sock"


async def main(name: str, node: str, folder: Path, capabilities: list[str]) -> None:
    endpoint = serves_at(name)
    info = {
        "type": "CSIPlugin",
        "name": name,
        "endpoint": str(endpoint),
        "supported_versions": ["1.0.0"],
    }
    first = await listen(endpoint, node_service(Driver(name, node, folder, capabilities)))
    second = await listen(registered_at(name), registration(info, folder))
    (folder / "pid").write_text(str(os.getpid()))
    await asyncio.gather(first.wait_for_termination(), second.wait_for_termination())


def prepare(*sockets: Path) -> None:
    """Room for sockets, without those of an earlier process."""
    for socket in sockets:
        socket.parent.mkdir(parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    prepare(serves_at(sys.argv[1]), registered_at(sys.argv[1]))
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
