"""postStart and preStop: a command in the container, a request to it, a connection or a sleep."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from typing import Any

from kubarium.api.core.pod import ports
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock
from kubelet.runtime.interface import ContainerRuntimeError, Runtime

HTTP_HEADERS = {"User-Agent": "kube-lifecycle/1.36", "Accept": "*/*"}
HTTP_TIMEOUT = 30.0  # seconds


class HookError(Exception):
    """The hook failed; the text goes into the event."""


class Hooks:
    """Runs lifecycle handlers."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock

    async def run(
        self, container: Object, container_id: str, handler: Object, pod_ip: str, timeout: float = 0
    ) -> None:
        """Run one handler to its end. Raises HookError."""
        if handler.get("exec"):
            await self._exec(container_id, handler["exec"].get("command") or [], timeout)
        elif handler.get("httpGet"):
            await self._http(container, handler["httpGet"], pod_ip)
        elif handler.get("sleep"):
            await self._clock.sleep(handler["sleep"].get("seconds") or 0)
        elif handler.get("tcpSocket"):
            raise HookError("tcpSocket is not supported as a lifecycle handler")
        else:
            raise HookError("invalid handler: no handler is given")

    async def _exec(self, container_id: str, command: list[str], timeout: float) -> None:
        try:
            result = await self._runtime.exec_sync(container_id, command, timeout)
        except ContainerRuntimeError as error:
            raise HookError(f"Exec lifecycle hook ({command}) failed - error: {error}") from error
        if result.exit_code != 0:
            output = (result.stdout + result.stderr).decode(errors="replace")
            shown = "[" + " ".join(command) + "]"
            raise HookError(
                f"command '{' '.join(command)}' exited with {result.exit_code}: {output}"
                if output
                else f"command {shown} exited with {result.exit_code}"
            )

    async def _http(self, container: Object, action: Object, pod_ip: str) -> None:
        port = ports.resolve(container, action.get("port"))
        host = action.get("host") or pod_ip
        secure = str(action.get("scheme") or "HTTP").upper() == "HTTPS"
        given = {header["name"]: header.get("value") or "" for header in action.get("httpHeaders") or []}
        known = {name.lower() for name in given}
        headers = {
            **{name: value for name, value in HTTP_HEADERS.items() if name.lower() not in known},
            **given,
        }
        try:
            status = await asyncio.to_thread(_get, host, port, action.get("path") or "/", headers, secure)
        except OSError as error:
            raise HookError(f'Get "{host}:{port}": {error}') from error
        if not 200 <= status < 400:
            raise HookError(f"HTTP hook failed with statuscode: {status}")


def _get(host: str, port: int, path: str, headers: dict[str, Any], secure: bool) -> int:
    # The certificate is not verified, as upstream: the pod's own address is asked.
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection(
            host, port, timeout=HTTP_TIMEOUT, context=ssl._create_unverified_context()
        )
        if secure
        else http.client.HTTPConnection(host, port, timeout=HTTP_TIMEOUT)
    )
    try:
        connection.request("GET", path if path.startswith("/") else f"/{path}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
