"""One probe, once: HTTP, TCP, exec or gRPC. The answer is success or failure, with a text for the event."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import grpc

from kubarium.api.core.pod import ports
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf import wire
from kubelet.runtime.http_get import MAX_BODY, Request, TooManyRedirects, get
from kubelet.runtime.interface import ContainerRuntimeError, DeadlineExceeded, Runtime

USER_AGENT = "kube-probe/1.36"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
SERVING = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What the probe found. `healthy` is None when it could not be carried out at all, which decides nothing."""

    healthy: bool | None
    output: str = ""
    warning: str = ""


async def probe(runtime: Runtime, container: Object, container_id: str, pod_ip: str, spec: Object) -> Answer:
    """Carry out one probe within its timeout."""
    timeout = float(spec.get("timeoutSeconds") or 1)
    try:
        if spec.get("exec"):
            return await _exec(runtime, container_id, spec["exec"].get("command") or [], timeout)
        if spec.get("httpGet"):
            return await _http(container, spec["httpGet"], pod_ip, timeout)
        if spec.get("tcpSocket"):
            return await _tcp(container, spec["tcpSocket"], pod_ip, timeout)
        if spec.get("grpc"):
            return await _grpc(spec["grpc"], pod_ip, timeout)
    except ValueError as error:
        return Answer(None, str(error))
    return Answer(None, "missing probe handler")


async def _exec(runtime: Runtime, container_id: str, command: list[str], timeout: float) -> Answer:
    try:
        result = await runtime.exec_sync(container_id, command, timeout)
    except DeadlineExceeded:
        return Answer(False, f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s')
    except ContainerRuntimeError as error:
        return Answer(None, f"rpc error: code = Unknown desc = {error}")
    output = (result.stdout + result.stderr)[:MAX_BODY].decode(errors="replace")
    return Answer(result.exit_code == 0, output)


async def _tcp(container: Object, action: Object, pod_ip: str, timeout: float) -> Answer:
    host, port = action.get("host") or pod_ip, ports.resolve(container, action.get("port"))
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Answer(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Answer(False, f"dial tcp {host}:{port}: connect: {_reason(error)}")
    writer.close()
    return Answer(True)


async def _http(container: Object, action: Object, pod_ip: str, timeout: float) -> Answer:
    request = Request.of(container, action, pod_ip, USER_AGENT)
    try:
        async with asyncio.timeout(timeout):
            status, body = await get(request)
    except TooManyRedirects as error:
        return Answer(False, f'Get "{request.url}": {error}')
    except TimeoutError:
        text = (
            f'Get "{request.url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        )
        return Answer(False, text)
    except (OSError, EOFError, asyncio.IncompleteReadError) as error:
        place = f"{request.host}:{request.port}"
        return Answer(False, f'Get "{request.url}": dial tcp {place}: connect: {_reason(error)}')
    if 300 <= status < 400:
        return Answer(True, body, f"Probe terminated redirects, Response body: {body}")
    if 200 <= status < 300:
        return Answer(True, body)
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


async def _grpc(action: Object, pod_ip: str, timeout: float) -> Answer:
    service = (action.get("service") or "").encode()
    request = wire.field(1, service) if service else b""
    address = f"{pod_ip}:{action['port']}"
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(HEALTH_CHECK)
        try:
            answer = await check(request, timeout=timeout, metadata=(("user-agent", USER_AGENT),))
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return Answer(
                    False,
                    "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
                )
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                within = f"within {timeout:g}s: context deadline exceeded"
                return Answer(False, f'timeout: failed to connect service "{address}" {within}')
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                return Answer(False, f"timeout: health rpc did not complete within {timeout:g}s")
            return Answer(False, f"error: health rpc probe failed: {error.details()}")
    status = answer[1] if len(answer) >= 2 and answer[0] == 0x08 else 0
    names = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
    if status == SERVING:
        return Answer(True, "service healthy")
    return Answer(False, f'service unhealthy (responded with "{names.get(status, status)}")')


def _reason(error: BaseException) -> str:
    with contextlib.suppress(AttributeError):
        if error.strerror:  # type: ignore[attr-defined]
            return str(error.strerror).partition("[")[0].strip().lower()  # type: ignore[attr-defined]
    return str(error).lower()
