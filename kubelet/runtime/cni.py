"""The pod network by hand, for a runtime that does not know CNI: run the plugins, remember what they answered.

The programs and the protocol are those of the CNI specification 1.0: configuration on standard input, the rest in
the environment, the result on standard output. Results are kept in files, because whoever deletes a sandbox may be
another process than the one that made it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelet.runtime.interface import ContainerRuntimeError

INTERFACE = "eth0"
NOT_READY = "docker: network plugin is not ready: cni config uninitialized"
TIMEOUT = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Attachment:
    """One sandbox as the network sees it."""

    id: str
    netns: str  # a path; empty when the processes in it are gone
    name: str
    namespace: str
    uid: str
    port_mappings: Sequence[Mapping[str, Any]] = ()


class CNI:
    """Adds sandboxes to the network of the first configuration in a folder, and takes them away again."""

    def __init__(
        self,
        conf_dir: Path = Path("/etc/cni/net.d"),
        bin_dirs: Sequence[str] = ("/opt/cni/bin", "/usr/lib/cni"),
        cache_dir: Path = Path("/var/lib/cni/kubelet"),
        enter: Sequence[str] = (),
    ) -> None:
        """`enter` is a command that takes a command: how to get to where the runtime lives, if that is elsewhere."""
        self._conf_dir = conf_dir
        self._bin_dirs = tuple(bin_dirs)
        self._cache_dir = cache_dir
        self._enter = tuple(enter)

    def is_ready(self) -> bool:
        """Is there a network to add anything to?"""
        return self._configuration() is not None

    async def add(self, to: Attachment) -> tuple[str, ...]:
        """Connect a sandbox; returns its addresses."""
        conf = self._configuration()
        if conf is None:
            raise ContainerRuntimeError(NOT_READY)
        result: Any = None
        # Kept before anything is made: if the third plugin fails, what the first two made can still be undone.
        self._remember(to, conf, None)
        try:
            for plugin in conf["plugins"]:
                result = await self._run("ADD", plugin, conf, to, result)
        except ContainerRuntimeError as error:
            await self.delete(to)
            raise ContainerRuntimeError(
                f'networkPlugin cni failed to set up pod "{to.name}_{to.namespace}" network: {error}'
            ) from error
        self._remember(to, conf, result)
        return _addresses(result)

    async def delete(self, attachment: Attachment) -> None:
        """Disconnect a sandbox; nothing happens if it is not connected."""
        known = self._known(attachment.id)
        if known is None:
            return
        for plugin in reversed(known["conf"]["plugins"]):
            await self._run("DEL", plugin, known["conf"], attachment, known["result"], known["ports"])
        self._file(attachment.id).unlink(missing_ok=True)

    def addresses(self, sandbox_id: str) -> tuple[str, ...]:
        """What `add` returned for it, as long as it is connected."""
        known = self._known(sandbox_id)
        return _addresses(known["result"]) if known else ()

    async def _run(
        self, command: str, plugin: Any, conf: Any, to: Attachment, previous: Any, ports: Any = None
    ) -> Any:
        request = {"cniVersion": conf["cniVersion"], "name": conf["name"], **plugin}
        capabilities = request.pop("capabilities", {})
        if capabilities.get("portMappings"):
            request["runtimeConfig"] = {"portMappings": ports or _port_mappings(to)}
        if previous is not None:
            request["prevResult"] = previous
        return await self._execute(plugin["type"], self._environment(command, to), json.dumps(request))

    def _environment(self, command: str, to: Attachment) -> dict[str, str]:
        return {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": to.id,
            "CNI_NETNS": to.netns,
            "CNI_IFNAME": INTERFACE,
            "CNI_ARGS": _arguments(to),
            "CNI_PATH": ":".join(self._bin_dirs),
        }

    async def _execute(self, plugin: str, environment: Mapping[str, str], request: str) -> Any:
        program = next(
            (path for folder in self._bin_dirs if Path(path := f"{folder}/{plugin}").exists()), None
        )
        if program is None:
            raise ContainerRuntimeError(f'failed to find plugin "{plugin}" in path {list(self._bin_dirs)}')
        process = await asyncio.create_subprocess_exec(
            *self._enter,
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                out, err = await process.communicate(request.encode())
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise ContainerRuntimeError(f"{plugin}: no answer in {TIMEOUT:.0f} s") from error
        if process.returncode:
            raise ContainerRuntimeError(f"{plugin}: {_complaint(out) or err.decode().strip()}")
        return json.loads(out) if out.strip() else None

    def _configuration(self) -> Any:
        """The first usable file in alphabetical order, a single plugin as a list of one."""
        files = self._conf_dir.iterdir() if self._conf_dir.is_dir() else ()
        for path in sorted(file for file in files if file.suffix in (".conflist", ".conf", ".json")):
            try:
                found = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if "plugins" not in found:
                found = {"name": found.get("name", ""), "plugins": [found], **_version(found)}
            return {"cniVersion": "0.2.0", **found}
        return None

    def _remember(self, to: Attachment, conf: Any, result: Any) -> None:
        arguments = [pair.split("=", 1) for pair in _arguments(to).split(";")]  # as libcni notes them
        known = {"conf": conf, "cniArgs": arguments, "result": result, "ports": _port_mappings(to)}
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        draft = self._file(to.id).with_suffix(".draft")
        draft.write_text(json.dumps(known))
        draft.replace(self._file(to.id))

    def _known(self, sandbox_id: str) -> Any:
        try:
            return json.loads(self._file(sandbox_id).read_text())
        except (OSError, ValueError):
            return None

    def _file(self, sandbox_id: str) -> Path:
        return self._cache_dir / f"{sandbox_id}.json"


def _version(conf: Any) -> dict[str, str]:
    return {"cniVersion": conf["cniVersion"]} if "cniVersion" in conf else {}


def _arguments(to: Attachment) -> str:
    pod = f"K8S_POD_NAMESPACE={to.namespace};K8S_POD_NAME={to.name};K8S_POD_UID={to.uid}"
    return f"IgnoreUnknown=1;{pod};K8S_POD_INFRA_CONTAINER_ID={to.id}"


def _addresses(result: Any) -> tuple[str, ...]:
    return tuple(ip["address"].partition("/")[0] for ip in (result or {}).get("ips") or [])


def _port_mappings(to: Attachment) -> list[dict[str, Any]]:
    return [
        {
            "hostPort": one["host_port"],
            "containerPort": one["container_port"],
            "protocol": str(one.get("protocol", "TCP")).lower(),
            "hostIP": one.get("host_ip", ""),
        }
        for one in to.port_mappings
        if one.get("host_port")
    ]


def _complaint(out: bytes) -> str:
    """A plugin reports errors as JSON on its standard output."""
    try:
        return str(json.loads(out)["msg"])
    except (ValueError, KeyError, TypeError):
        return ""
