"""A GET as probes and lifecycle hooks make it: to the pod's own address, whatever certificate it shows."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

from kubarium.api.core.pod import ports
from kubarium.apimachinery.object import Object

MAX_BODY = 10 * 1024
MAX_REDIRECTS = 10


class TooManyRedirects(Exception):
    """The server sends its visitors round in circles."""


@dataclass(frozen=True, slots=True)
class Request:
    """Where to, and with which headers."""

    host: str
    port: int
    path: str
    secure: bool
    headers: Sequence[Object]
    user_agent: str

    @classmethod
    def of(cls, container: Object, action: Object, pod_ip: str, user_agent: str) -> Request:
        """An `httpGet` action. Raises ValueError for a port that the container does not name."""
        path = str(action.get("path") or "/")
        return cls(
            action.get("host") or pod_ip,
            ports.resolve(container, action.get("port")),
            path if path.startswith("/") else f"/{path}",
            str(action.get("scheme") or "HTTP").upper() == "HTTPS",
            action.get("httpHeaders") or (),
            user_agent,
        )

    @property
    def url(self) -> str:
        """As a browser shows it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"


async def get(request: Request) -> tuple[int, str]:
    """Status and body. Redirects are followed as long as they stay on the host: elsewhere they are the answer.

    Raises OSError, EOFError, TooManyRedirects.
    """
    url = request.url
    for _ in range(MAX_REDIRECTS):
        where = urlsplit(url)
        target = urlunsplit(("", "", where.path or "/", where.query, ""))
        secure = where.scheme == "https"
        status, location, body = await _get(
            where.hostname or request.host, where.port or (443 if secure else 80), target, secure, request
        )
        url = urljoin(url, location)
        if not (300 <= status < 400 and location) or urlsplit(url).hostname != where.hostname:
            return status, body
    raise TooManyRedirects(f"stopped after {MAX_REDIRECTS} redirects")


async def _get(host: str, port: int, path: str, secure: bool, request: Request) -> tuple[int, str, str]:
    """Status, location and body, on a fresh connection."""
    context = _unverified() if secure else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(_head(host, port, path, request))
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


def _head(host: str, port: int, path: str, request: Request) -> bytes:
    lines = {
        "host": f"Host: {host}:{port}",
        "user-agent": f"User-Agent: {request.user_agent}",
        "accept": "Accept: */*",
    }
    extra = []
    for header in request.headers:
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
