"""postStart and preStop: a command in the container, a request to it, a connection or a sleep."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Counts
from kubelet import metrics
from kubelet.runtime.http_get import Request, TooManyRedirects, get
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, Runtime

USER_AGENT = "kube-lifecycle/1.36"
HTTP_TIMEOUT = 30.0  # seconds
HTTP_FALLBACK = "request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded"
HTTP_FALLBACKS = Counts(
    "kubelet_lifecycle_handler_http_fallbacks_total",
    "The number of times lifecycle handlers successfully fell back to http from https.",
    (),
)


class HookError(Exception):
    """The hook failed; the text goes into the event."""


class Hooks:
    """Runs lifecycle handlers."""

    def __init__(self, runtime: Runtime, recorder: Recorder, clock: Clock) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock

    async def run(
        self,
        pod: Object,
        container: Object,
        container_id: str,
        handler: Object,
        pod_ip: str,
        timeout: float = 0,
    ) -> None:
        """Run one handler to its end. Raises HookError."""
        if handler.get("exec"):
            await self._exec(container_id, handler["exec"].get("command") or [], timeout)
        elif handler.get("httpGet"):
            await self._http(pod, container, handler["httpGet"], pod_ip)
        elif handler.get("sleep"):
            try:
                await self._clock.sleep(handler["sleep"].get("seconds") or 0)
            except asyncio.CancelledError:  # the grace period is over
                metrics.SLEEPS_CUT.add()
                raise
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

    async def _http(self, pod: Object, container: Object, action: Object, pod_ip: str) -> None:
        """The server must be there and answer; what it answers is its own business, as upstream has it."""
        try:
            request = Request.of(container, action, pod_ip, USER_AGENT)
            async with asyncio.timeout(HTTP_TIMEOUT):
                try:
                    await get(request)
                except ssl.SSLError as error:
                    if not _speaks_http(error):
                        raise
                    await get(_in_the_clear(request))
                    HTTP_FALLBACKS.add(())
                    self._recorder.event(pod, "Warning", "LifecycleHTTPFallback", HTTP_FALLBACK)
        except TimeoutError as error:
            raise HookError(f'Get "{request.url}": context deadline exceeded') from error
        except (OSError, EOFError, TooManyRedirects) as error:
            raise HookError(f'Get "{request.url}": {error}') from error
        except ValueError as error:
            raise HookError(str(error)) from error


def _speaks_http(error: ssl.SSLError) -> bool:
    """Did somebody answer who knows nothing of TLS?"""
    return error.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNKNOWN_PROTOCOL",
        "RECORD_LAYER_FAILURE",
    )


def _in_the_clear(request: Request) -> Request:
    """The same, without what is not for everybody's ears."""
    headers = [header for header in request.headers if header["name"].lower() != "authorization"]
    return dataclasses.replace(request, secure=False, headers=headers)
