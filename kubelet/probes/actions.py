"""One probe, once: HTTP, TCP, exec or gRPC. The answer is success or failure, with a text for the event."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

import grpc

from kubarium.api.core.pod import ports
from kubarium.apimachinery.object import Object
from kubelet.runtime.interface import ContainerRuntimeError, DeadlineExceeded, Runtime

USER_AGENT = "kube-probe/1.36"
MAX_BODY = 10 * 1024
MAX_REDIRECTS = 10
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
SERVING = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What the probe found. `healthy` is None when it could not be carried out at all, which decides nothing."""

    healthy: bool | None
    output: str = ""
    warning: str = ""


class TooManyRedirects(Exception):
    """The server sends its visitors round in circles."""


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
    host, port = action.get("host") or pod_ip, ports.resolve(container, action.get("port"))
    secure = str(action.get("scheme") or "HTTP").upper() == "HTTPS"
    path = action.get("path") or "/"
    path = path if path.startswith("/") else f"/{path}"
    url = f"{'https' if secure else 'http'}://{host}:{port}{path}"
    try:
        async with asyncio.timeout(timeout):
            status, body = await get(host, port, path, secure, action.get("httpHeaders") or [])
    except TooManyRedirects as error:
        return Answer(False, f'Get "{url}": {error}')
    except TimeoutError:
        text = f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        return Answer(False, text)
    except (OSError, EOFError, asyncio.IncompleteReadError) as error:
        return Answer(False, f'Get "{url}": dial tcp {host}:{port}: connect: {_reason(error)}')
    if 300 <= status < 400:
        return Answer(True, body, f"Probe terminated redirects, Response body: {body}")
    if 200 <= status < 300:
        return Answer(True, body)
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


async def get(host: str, port: int, path: str, secure: bool, headers: list[Object]) -> tuple[int, str]:
    """A GET that follows redirects as long as they stay on the host: elsewhere the answer is the redirect itself."""
    scheme = "https" if secure else "http"
    url = f"{scheme}://[{host}]:{port}{path}" if ":" in host else f"{scheme}://{host}:{port}{path}"
    for _ in range(MAX_REDIRECTS):
        where = urlsplit(url)
        target = urlunsplit(("", "", where.path or "/", where.query, ""))
        secure = where.scheme == "https"
        status, location, body = await _get(
            where.hostname or host, where.port or (443 if secure else 80), target, secure, headers
        )
        url = urljoin(url, location)
        if not (300 <= status < 400 and location) or urlsplit(url).hostname != where.hostname:
            return status, body
    raise TooManyRedirects(f"stopped after {MAX_REDIRECTS} redirects")


async def _get(host: str, port: int, path: str, secure: bool, headers: list[Object]) -> tuple[int, str, str]:
    """Status, location and body, on a fresh connection, whose certificate is not verified (it is the pod's own)."""
    context = _unverified() if secure else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(_request(host, port, path, headers))
        status_line = await reader.readline()
        parts = status_line.split(b" ", 2)
        if len(parts) < 2 or not parts[1].isdigit():
            raise EOFError("malformed HTTP response" if status_line else "EOF")
        rest = await reader.read(MAX_BODY)
        head, _, body = ("\r\n" + rest.decode(errors="replace")).partition("\r\n\r\n")
        found = re.search(r"^location:[ \t]*(.*?)[ \t]*$", head, re.IGNORECASE | re.MULTILINE)
        return int(parts[1]), found[1].strip() if found else "", body
    finally:
        writer.close()


def _request(host: str, port: int, path: str, headers: list[Object]) -> bytes:
    lines = {
        "host": f"Host: {host}:{port}",
        "user-agent": f"User-Agent: {USER_AGENT}",
        "accept": "Accept: */*",
    }
    extra = []
    for header in headers:
        line = f"{header['name']}: {header.get('value') or ''}"
        if header["name"].lower() in lines:
            lines[header["name"].lower()] = line
        else:
            extra.append(line)
    shown = [line for line in lines.values() if not line.endswith(": ")]
    return "\r\n".join([f"GET {path} HTTP/1.1", *shown, *extra, "Connection: close", "", ""]).encode()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _grpc(action: Object, pod_ip: str, timeout: float) -> Answer:
    service = (action.get("service") or "").encode()
    request = b"\x0a" + bytes([len(service)]) + service if service else b""
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
