"""The door to a Docker Engine: a sandbox is a container that holds namespaces, the network is made by CNI by hand.

    run_sandbox ──▶ create + start of the pause container, without a network ──▶ cni.py: eth0
    create_container ──▶ a container in the namespaces of that one

The engine keeps the logs (in its own form, which `logs.py` reads too); where the kubelet expects a log file lies a
link to them. One thing it lacks: streams, which `docker_streams.py` serves in the words of Kubernetes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubelet.runtime import docker_answers as answers
from kubelet.runtime import docker_config as words
from kubelet.runtime import interface
from kubelet.runtime.cni import CNI, NOT_READY, Attachment
from kubelet.runtime.docker_api import TIMEOUT, Conflict, EngineClient
from kubelet.runtime.docker_streams import Streams
from kubelet.runtime.interface import (
    Container,
    ContainerConfig,
    ContainerRuntimeError,
    ContainerStatus,
    ContainerUsage,
    Credentials,
    ExecResult,
    Image,
    ImageView,
    RuntimeCondition,
    RuntimeInfo,
    Sandbox,
    SandboxConfig,
    SandboxUsage,
)

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
PULL_TIMEOUT = 3600.0  # seconds
SYS_RESOURCE = 24  # the number of the capability


class DockerRuntime:
    """`Runtime` over the Engine API."""

    def __init__(self, endpoint: str, cni: CNI | None = None, timeout: float = TIMEOUT) -> None:
        self._api = EngineClient(urlsplit(endpoint).path, timeout)
        self._cni = cni or CNI()
        self._streams = Streams(self._api)
        self._lowest_oom_score = lowest_oom_score()

    async def close(self) -> None:
        await self._streams.close()
        await self._api.close()

    # -- the runtime itself ----------------------------------------------------------------------------------------

    async def version(self) -> RuntimeInfo:
        answer = await self._api.get("/version", deadline=10)
        return RuntimeInfo("docker", answer["Version"])

    async def conditions(self) -> list[RuntimeCondition]:
        await self._api.get("/_ping", deadline=10)
        network = RuntimeCondition("NetworkReady", True)
        if not self._cni.is_ready():
            network = RuntimeCondition("NetworkReady", False, "NetworkPluginNotReady", NOT_READY)
        return [RuntimeCondition("RuntimeReady", True), network]

    # -- sandboxes -------------------------------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig, handler: str = "") -> str:
        """1. the container, 2. its network, 3. its resolv.conf; what was begun in vain is taken back."""
        if handler:
            raise ContainerRuntimeError(f'RuntimeHandler "{handler}" not supported')
        await self._need_image(PAUSE_IMAGE)
        name = words.sandbox_name(config["metadata"])
        body = words.sandbox_body(config, PAUSE_IMAGE)
        try:
            made = await self._api.call("POST", "/containers/create", body, name=name)
        except Conflict as error:
            raise ContainerRuntimeError(f'failed to reserve sandbox name "{name}": {error}') from error
        id = str(made["Id"])
        try:
            await self._api.call("POST", f"/containers/{id}/start")
            details = await self._inspect(id)
            if body["HostConfig"]["NetworkMode"] == "none":
                await self._cni.add(_attachment(details, config))
            if config.get("dns_config"):
                Path(details["ResolvConfPath"]).write_text(words.resolv_conf(config["dns_config"]))
        except BaseException:
            await asyncio.shield(self._remove(id))
            raise
        return id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        try:
            details = await self._inspect(sandbox_id)
        except interface.NotFound:
            return
        inside = await self._list(words.CONTAINER, {words.SANDBOX_ID: sandbox_id}, all=False)
        await asyncio.gather(*(self._kill(one["Id"]) for one in inside))
        # While the processes are there the network plugins can still look into the namespace.
        await self._cni.delete(_attachment(details, {}))
        await self._kill(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        for one in await self._list(words.CONTAINER, {words.SANDBOX_ID: sandbox_id}):
            await self.remove_container(one["Id"])
        await self._remove(sandbox_id)

    async def list_sandboxes(self, pod_uid: str = "") -> list[Sandbox]:
        return [
            answers.sandbox(one["Id"], one["Names"][0], one["State"], one["Created"] * 10**9, one["Labels"])
            for one in await self._list(words.SANDBOX, _of_pod(pod_uid))
        ]

    async def sandbox_status(self, sandbox_id: str) -> Sandbox:
        found = await self._inspect(sandbox_id)
        created, labels = answers.nanoseconds(found["Created"]), found["Config"]["Labels"]
        ips = self._cni.addresses(found["Id"])
        return answers.sandbox(found["Id"], found["Name"], found["State"]["Status"], created, labels, ips)

    # -- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        body = words.container_body(sandbox_id, config, sandbox, _seccomp_text(words.seccomp_file(config)))
        host = body["HostConfig"]
        host["OomScoreAdj"] = max(host["OomScoreAdj"], self._lowest_oom_score)
        name = words.container_name(config, sandbox)
        made = await self._api.call("POST", "/containers/create", body, name=name)
        return str(made["Id"])

    async def start_container(self, container_id: str) -> None:
        await self._api.call("POST", f"/containers/{container_id}/start")
        found = await self._inspect(container_id)
        _link_log(found["Config"]["Labels"].get(words.LOG_PATH), found.get("LogPath"))

    async def stop_container(self, container_id: str, grace: int) -> None:
        if grace <= 0:
            await self._kill(container_id)
            return
        with contextlib.suppress(interface.NotFound):
            await self._api.call("POST", f"/containers/{container_id}/stop", deadline=grace + 120.0, t=grace)

    async def remove_container(self, container_id: str) -> None:
        with contextlib.suppress(interface.NotFound):
            link = (await self._inspect(container_id))["Config"]["Labels"].get(words.LOG_PATH)
            await self._remove(container_id)
            if link:
                Path(link).unlink(missing_ok=True)

    async def list_containers(self, pod_uid: str = "") -> list[Container]:
        found = [answers.container(one) for one in await self._list(words.CONTAINER, _of_pod(pod_uid))]
        return await asyncio.gather(*(self._told_apart(container) for container in found))

    async def _told_apart(self, container: Container) -> Container:
        """What could not be started is listed as if nobody had tried; only its details tell."""
        if container.state != interface.CREATED:
            return container
        with contextlib.suppress(interface.NotFound):
            state, _ = answers.state_and_reason((await self._inspect(container.id))["State"])
            return dataclasses.replace(container, state=state)
        return container

    async def container_status(self, container_id: str) -> ContainerStatus:
        return answers.container_status(await self._inspect(container_id))

    async def update_container_resources(self, container_id: str, resources: Mapping[str, Any]) -> None:
        await self._api.call("POST", f"/containers/{container_id}/update", words.resources(resources))

    async def reopen_log(self, container_id: str) -> None:
        raise interface.Unsupported("the Docker Engine rotates its logs by itself")

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: float = 0) -> ExecResult:
        request = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        made = await self._api.call("POST", f"/containers/{container_id}/exec", request)
        path = f"/exec/{made['Id']}"
        try:
            out, err = await self._api.output(
                f"{path}/start", {"Detach": False, "Tty": False}, timeout or 120
            )
        except interface.DeadlineExceeded as error:
            raise interface.DeadlineExceeded(
                f"command {list(command)} timed out after {timeout:.0f}s"
            ) from error
        return ExecResult((await self._api.get(f"{path}/json"))["ExitCode"] or 0, out, err)

    # -- streams ---------------------------------------------------------------------------------------------------

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        return await self._streams.exec_url(container_id, command, tty, stdin, stdout, stderr)

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        return await self._streams.attach_url(container_id, tty, stdin, stdout, stderr)

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        pid = (await self._inspect(sandbox_id))["State"]["Pid"]
        if not pid:
            raise ContainerRuntimeError(f"sandbox container {sandbox_id} is not running")
        return await self._streams.port_forward_url(Path(f"/proc/{pid}/ns/net"), ports)

    # -- images ----------------------------------------------------------------------------------------------------

    async def list_images(self) -> list[Image]:
        return [answers.image(item) for item in await self._api.get("/images/json")]

    async def image_status(self, image: str) -> Image | None:
        try:
            return answers.image(await self._api.get(f"/images/{image}/json"))
        except interface.NotFound:
            return None

    async def pull_image(
        self, image: str, credentials: Credentials | None, sandbox: SandboxConfig | None
    ) -> str:
        headers = {"X-Registry-Auth": _login(credentials)} if credentials is not None else None
        progress = self._api.lines(
            "POST", "/images/create", headers, PULL_TIMEOUT, fromImage=words.full_name(image)
        )
        async for line in progress:
            if "error" in line:
                raise ContainerRuntimeError(line["error"])
        found = await self.image_status(image)
        if found is None:
            raise ContainerRuntimeError(f"image {image} is not there after it was pulled")
        return found.id

    async def remove_image(self, image: str) -> None:
        found = await self.image_status(image)
        if found is not None:
            # By its names, one by one: the engine refuses to remove an id that has several.
            for name in found.tags or (found.id,):
                with contextlib.suppress(interface.NotFound):
                    await self._api.call("DELETE", f"/images/{name}")

    async def view_image(self, image: str, key: str) -> ImageView | None:
        """The layers as the engine's overlay driver keeps them; a container that is never started holds the image."""
        details = await self._api.get(f"/images/{image}/json")
        driver = details["GraphDriver"]
        if driver["Name"] != "overlay2":
            raise interface.Unsupported(
                f"image volumes need the storage driver overlay2, not {driver['Name']}"
            )
        with contextlib.suppress(Conflict):
            body = {"Image": image, "Cmd": ["held"], "NetworkDisabled": True}
            await self._api.call("POST", "/containers/create", body, name=words.view_name(key))
        layers = [driver["Data"]["UpperDir"], *filter(None, [driver["Data"].get("LowerDir")])]
        if len(layers) == 1:
            return ImageView("bind", layers[0], ("rbind", "ro"))
        return ImageView("overlay", "overlay", (f"lowerdir={':'.join(layers)}",))

    async def give_back_view(self, key: str) -> None:
        with contextlib.suppress(interface.NotFound):
            await self._remove(words.view_name(key))

    async def image_filesystem(self) -> tuple[str, int, int]:
        info = await self._api.get("/info")
        size = sum(item["Size"] for item in await self._api.get("/images/json"))
        return info["DockerRootDir"], size, 0

    # -- usage -----------------------------------------------------------------------------------------------------

    async def container_usage(self) -> list[ContainerUsage]:
        running = await self._list(words.CONTAINER, {}, all=False)
        answers = await asyncio.gather(*(self._usage(one) for one in running))
        return [answer for answer in answers if answer is not None]

    async def _usage(self, item: Any) -> ContainerUsage | None:
        query = {"stream": False, "one-shot": True}
        try:
            found = await self._api.get(f"/containers/{item['Id']}/stats", deadline=20, **query)
        except (interface.NotFound, Conflict):
            return None  # it has just ended
        return answers.container_usage(answers.container(item), found) if found["memory_stats"] else None

    async def sandbox_usage(self) -> list[SandboxUsage]:
        """The engine knows nothing of a network that it did not make; the kernel does."""
        running = await self._list(words.SANDBOX, {}, all=False)
        details = await asyncio.gather(
            *(self._inspect(one["Id"]) for one in running if self._cni.addresses(one["Id"])),
            return_exceptions=True,
        )
        usages = (_network_usage(one) for one in details if not isinstance(one, BaseException))
        return [usage for usage in usages if usage is not None]

    async def changes(self) -> AsyncIterator[str]:
        wanted = {"type": ["container"], "event": ["die", "oom"], "label": [words.KIND]}
        async for event in self._api.lines("GET", "/events", filters=wanted):
            yield event["Actor"]["ID"]

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _inspect(self, id: str) -> Any:
        return await self._api.get(f"/containers/{id}/json")

    async def _list(self, kind: str, labels: Mapping[str, str], all: bool = True) -> Any:
        wanted = [f"{words.KIND}={kind}", *(f"{key}={value}" for key, value in labels.items())]
        return await self._api.get("/containers/json", deadline=20, all=all, filters={"label": wanted})

    async def _kill(self, id: str) -> None:
        with contextlib.suppress(interface.NotFound, Conflict):
            await self._api.call("POST", f"/containers/{id}/kill")
            await self._api.call("POST", f"/containers/{id}/wait")

    async def _remove(self, id: str) -> None:
        with contextlib.suppress(interface.NotFound):
            await self._api.call("DELETE", f"/containers/{id}", force=True, v=True)

    async def _need_image(self, image: str) -> None:
        if await self.image_status(image) is None:
            await self.pull_image(image, None, None)


def _of_pod(pod_uid: str) -> dict[str, str]:
    return {interface.POD_UID: pod_uid} if pod_uid else {}


def _attachment(details: Any, config: SandboxConfig) -> Attachment:
    _, name, namespace, uid, _ = words.parse_name(details["Name"])
    pid = details["State"].get("Pid")
    netns = f"/proc/{pid}/ns/net" if pid else ""
    return Attachment(details["Id"], netns, name, namespace, uid, config.get("port_mappings") or ())


def _network_usage(details: Any) -> SandboxUsage | None:
    """One line of /proc/net/dev, seen from a process in the sandbox."""
    try:
        text = Path(f"/proc/{details['State']['Pid']}/net/dev").read_text()
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.strip().startswith("eth0:")), None)
    if line is None:
        return None
    numbers = [int(word) for word in line.partition(":")[2].split()]
    uid = words.parse_name(details["Name"])[3]
    return SandboxUsage(
        id=details["Id"],
        pod_uid=uid,
        timestamp=time.time_ns(),
        rx_bytes=numbers[0],
        rx_errors=numbers[2],
        tx_bytes=numbers[8],
        tx_errors=numbers[10],
    )


def _login(credentials: Credentials) -> str:
    """The header by which the engine learns how to log in to a registry."""
    username, password = credentials.username, credentials.password
    if credentials.auth and not username:
        username, _, password = base64.b64decode(credentials.auth).decode().partition(":")
    known = {
        "username": username,
        "password": password,
        "serveraddress": credentials.server,
        "identitytoken": credentials.identity_token,
        "registrytoken": credentials.registry_token,
    }
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()


def _seccomp_text(path: str) -> str:
    try:
        return Path(path).read_text() if path else ""
    except OSError as error:
        raise ContainerRuntimeError(f"cannot load seccomp profile {path!r}: {error.strerror}") from error


def lowest_oom_score() -> int:
    """Without CAP_SYS_RESOURCE nobody may be protected better than oneself: asking for it fails the start."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if int(line.split()[1], 16) >> SYS_RESOURCE & 1:
        return -1000
    return int(Path("/proc/self/oom_score_adj").read_text())


def _link_log(link: str | None, target: str | None) -> None:
    """The engine's log file under the name that the kubelet expects."""
    if not link or not target:
        return
    path = Path(link)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
