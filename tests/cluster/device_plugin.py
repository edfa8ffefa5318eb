"""A device plugin and a DRA driver whose devices are /dev/null under another name, as one process inside a node.

    python -m tests.cluster.device_plugin FOLDER

What it is asked is written, a JSON line each, to FOLDER/calls; devices named in FOLDER/sick are ill.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from kubarium.component_base.plugin_socket import PluginError, PluginSocket
from kubelet.devices import drivers, plugins
from tests.cluster.csi_driver import KUBELET, handler, listen, prepare, registered_at, registration, serves_at

RESOURCE, DEVICES = "example.com/thing", ("thing-0", "thing-1", "thing-2")
DRIVER = "dra.example.com"
CDI = "example.com/gadget"
FOLDER = KUBELET / "device-plugins"
SOCKET = FOLDER / "thing.sock"


class DevicePlugin:
    """The service DevicePlugin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, call: str, request: Any) -> None:
        """Write down what was asked."""
        with (self.folder / "calls").open("a") as file:
            said = json_format.MessageToDict(request, preserving_proto_field_name=True)
            file.write(json.dumps({"call": call, **said}) + "\n")

    def devices(self) -> list[dict[str, str]]:
        try:
            sick = (self.folder / "sick").read_text().split()
        except FileNotFoundError:
            sick = []
        return [{"ID": id, "health": "Unhealthy" if id in sick else "Healthy"} for id in DEVICES]

    async def watch(self, request: Any, context: Any) -> Any:
        told = None
        while True:
            if (found := self.devices()) != told:
                told = found
                yield plugins.MESSAGES["ListAndWatchResponse"](devices=found)
            await asyncio.sleep(0.1)

    async def options(self, request: Any, context: Any) -> Any:
        return plugins.MESSAGES["DevicePluginOptions"](
            pre_start_required=True, get_preferred_allocation_available=True
        )

    async def prefer(self, request: Any, context: Any) -> Any:
        """The last ones."""
        self.note("GetPreferredAllocation", request)
        (asked,) = request.container_requests
        chosen = sorted(asked.available_deviceIDs)[-asked.allocation_size :]
        return plugins.MESSAGES["PreferredAllocationResponse"](container_responses=[{"deviceIDs": chosen}])

    async def allocate(self, request: Any, context: Any) -> Any:
        self.note("Allocate", request)
        (asked,) = request.container_requests
        answer = {
            "envs": {"THINGS": ",".join(asked.devices_ids)},
            "devices": [
                {"container_path": f"/dev/{id}", "host_path": "/dev/null", "permissions": "rw"}
                for id in asked.devices_ids
            ],
            "mounts": [{"container_path": "/things", "host_path": str(self.folder), "read_only": True}],
        }
        return plugins.MESSAGES["AllocateResponse"](container_responses=[answer])

    async def pre_start(self, request: Any, context: Any) -> Any:
        self.note("PreStartContainer", request)
        return plugins.MESSAGES["PreStartContainerResponse"]()

    def service(self) -> Any:
        """As gRPC wants it."""
        messages = plugins.MESSAGES
        handlers = {
            "GetDevicePluginOptions": handler(self.options, messages["Empty"]),
            "GetPreferredAllocation": handler(self.prefer, messages["PreferredAllocationRequest"]),
            "Allocate": handler(self.allocate, messages["AllocateRequest"]),
            "PreStartContainer": handler(self.pre_start, messages["PreStartContainerRequest"]),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self.watch,
                request_deserializer=messages["Empty"].FromString,
                response_serializer=lambda message: message.SerializeToString(),
            ),
        }
        return grpc.method_handlers_generic_handler(plugins.SERVICE, handlers)

    # -- DRA -------------------------------------------------------------------------------------------------------

    async def prepare(self, request: Any, context: Any) -> Any:
        self.note("NodePrepareResources", request)
        device = {
            "request_names": ["gadget"],
            "pool_name": "pool",
            "device_name": "gadget-0",
            "cdi_device_ids": [f"{CDI}=gadget-0"],
        }
        claims = [{"key": one.uid, "value": {"devices": [device]}} for one in request.claims]
        return drivers.MESSAGES["NodePrepareResourcesResponse"](claims=claims)

    async def unprepare(self, request: Any, context: Any) -> Any:
        self.note("NodeUnprepareResources", request)
        claims = [{"key": one.uid, "value": {}} for one in request.claims]
        return drivers.MESSAGES["NodeUnprepareResourcesResponse"](claims=claims)

    def dra_service(self) -> Any:
        """As gRPC wants it."""
        handlers = {
            "NodePrepareResources": handler(self.prepare, drivers.MESSAGES["NodePrepareResourcesRequest"]),
            "NodeUnprepareResources": handler(
                self.unprepare, drivers.MESSAGES["NodeUnprepareResourcesRequest"]
            ),
        }
        return grpc.method_handlers_generic_handler(drivers.SERVICES["v1.DRAPlugin"], handlers)


async def serve(plugin: DevicePlugin) -> None:
    """Serve, and tell the kubelet; again whenever it made its socket anew, for then it took ours away."""
    known, server = None, None
    while True:
        found = made_at(FOLDER / "kubelet.sock")
        if found is not None and found != known:
            if server is not None:
                await server.stop(None)
            prepare(SOCKET)
            server = await listen(SOCKET, plugin.service())
            known = found if await register() else None
        await asyncio.sleep(0.2)


def made_at(socket: Path) -> int | None:
    """What tells a socket from a later one of the same name."""
    try:
        return socket.stat().st_ctime_ns
    except FileNotFoundError:
        return None


async def register() -> bool:
    """Did the kubelet take us in?"""
    socket = PluginSocket(str(FOLDER / "kubelet.sock"), plugins.MESSAGES, plugins.REGISTRATION)
    options = {"pre_start_required": True, "get_preferred_allocation_available": True}
    asked = {"version": "v1beta1", "endpoint": SOCKET.name, "resource_name": RESOURCE, "options": options}
    try:
        await socket.call("Register", answer="Empty", deadline=10, **asked)
    except PluginError as error:
        sys.stderr.write(f"{error}\n")
        return False
    finally:
        await socket.close()
    return True


def specify() -> None:
    """What a gadget is, in the words of the CDI."""
    edits = {"env": ["GADGET=gadget-0"], "deviceNodes": [{"path": "/dev/gadget", "hostPath": "/dev/null"}]}
    found = {"cdiVersion": "0.6.0", "kind": CDI, "devices": [{"name": "gadget-0", "containerEdits": edits}]}
    folder = Path("/var/run/cdi")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "example.json").write_text(json.dumps(found))


async def main(folder: Path) -> None:
    plugin = DevicePlugin(folder)
    info = {
        "type": "DRAPlugin",
        "name": DRIVER,
        "endpoint": str(serves_at(DRIVER)),
        "supported_versions": ["v1.DRAPlugin"],
    }
    servers = [
        await listen(serves_at(DRIVER), plugin.dra_service()),
        await listen(registered_at(DRIVER), registration(info, folder)),
    ]
    (folder / "pid").write_text(str(os.getpid()))
    await asyncio.gather(serve(plugin), *(server.wait_for_termination() for server in servers))


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    specify()
    prepare(serves_at(DRIVER), registered_at(DRIVER))
    asyncio.run(main(Path(sys.argv[1])))
