"""The load generator: a process of its own, so that what it costs is not charged to the server.

It reads one JSON order from standard input and answers with one JSON line. Requests are written by hand over
HTTP/1.1 and TLS: no client library stands between the clock and the server.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop


@dataclass(frozen=True)
class Target:
    """Where the server is and who asks."""

    port: int
    directory: str

    def context(self) -> ssl.SSLContext:
        """TLS as the administrator."""
        context = ssl.create_default_context(cafile=f"{self.directory}/ca.crt")
        context.load_cert_chain(f"{self.directory}/admin.crt", f"{self.directory}/admin.key")
        return context


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """One request as bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: kubernetes\r\nuser-agent: bench\r\naccept: application/json\r\n"
    )
    if body:
        head += f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass
class Tally:
    """What the clients of one run saw."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bytes: int = 0


_LAST_CHUNK = b"0\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as the last one is answered."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._tally = tally
        self._done = done
        self._missing = -1
        self._head = b""
        self._tail: bytes | None = None  # of an answer in chunks
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._tally.bytes += len(data)
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, rest = self._head[:end].lower(), self._head[end + 4 :]
            if self._head[9:10] != b"2":
                self._tally.failures.append(self._head[:400].decode("latin-1"))
            at = head.find(b"content-length:") + 15
            if at < 15:  # an answer in chunks: the last one is empty
                self._missing, self._tail = 1, rest[-5:]
            else:
                stop = head.find(b"\r\n", at)
                self._missing = int(head[at : stop if stop > 0 else None]) - len(rest)
        elif self._tail is None:
            self._missing -= len(data)
        else:
            self._tail = (self._tail + data)[-5:]
        if self._missing == 0 or self._tail == _LAST_CHUNK:
            self._tally.seconds.append(time.perf_counter() - self._begun)
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._tally.failures.append(f"connection lost: {error}")
            self._done.set_result(None)

    def _next(self) -> None:
        following = next(self._requests, None)
        if following is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._missing, self._head, self._tail = -1, b"", None
        self._begun = time.perf_counter()
        self._transport.write(following)


async def call(target: Target, clients: int, requests: Iterator[bytes]) -> dict[str, Any]:
    """Send requests over some connections, each as fast as it gets answers."""
    loop = asyncio.get_running_loop()
    tally, context = Tally(), target.context()
    begun = time.perf_counter()
    ends = []
    for _ in range(clients):
        done: asyncio.Future[None] = loop.create_future()
        ends.append(done)
        await loop.create_connection(
            lambda done=done: Caller(requests, tally, done),  # type: ignore[misc]
            "127.0.0.1",
            target.port,
            ssl=context,
            server_hostname="127.0.0.1",
        )
    await asyncio.gather(*ends)
    return report(tally, time.perf_counter() - begun)


def report(tally: Tally, elapsed: float) -> dict[str, Any]:
    """Rate and percentiles."""
    ordered = sorted(tally.seconds)
    if not ordered:
        return {"failures": len(tally.failures), "example": tally.failures[:1]}
    return {
        "count": len(ordered),
        "rate": len(ordered) / elapsed,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[int(len(ordered) * 0.99)],
        "mb_per_second": tally.bytes / elapsed / 1e6,
        "failures": len(tally.failures),
        "example": tally.failures[:1],
    }


def download(target: Target, clients: int, path: str, count: int) -> dict[str, Any]:
    """Large answers, read by threads: reading TLS in C releases the interpreter."""
    tally, context = Tally(), target.context()
    numbers = itertools.count()
    lock = threading.Lock()

    def work() -> None:
        raw = socket.create_connection(("127.0.0.1", target.port))
        connection = context.wrap_socket(raw, server_hostname="127.0.0.1")
        buffer = memoryview(bytearray(1 << 20))
        while next(numbers) < count:
            begun = time.perf_counter()
            connection.sendall(request("GET", path))
            head = b""
            while (end := head.find(b"\r\n\r\n")) < 0:
                head += connection.recv(65536)
            at = head[:end].lower().find(b"content-length:") + 15
            size = len(head) - end - 4
            if at < 15:  # an answer in chunks: the last one is empty
                tail = head[-5:]
                while tail != _LAST_CHUNK:
                    got = connection.recv_into(buffer)
                    size += got
                    tail = (tail + bytes(buffer[max(0, got - 5) : got]))[-5:]
            else:
                missing = int(head[at:].partition(b"\r\n")[0]) - size
                size += missing
                while missing > 0:
                    missing -= connection.recv_into(buffer, min(missing, len(buffer)))
            with lock:
                tally.seconds.append(time.perf_counter() - begun)
                tally.bytes += size
        connection.close()

    begun = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return report(tally, time.perf_counter() - begun)


class Attention:
    """Keeps the generator awake while a change is on its way to all watchers.

    Where cores are virtual, to wake a sleeping one costs the server more than the delivery itself; clients on other
    machines would cost it nothing. The first delivery wakes us, and we stay awake until the last one has come.
    """

    def __init__(self, watchers: int, longest: float) -> None:
        self._watchers = watchers
        self._longest = longest  # seconds
        self._heard = self._awaited = 0  # deliveries
        self._until = 0.0

    def hear(self) -> None:
        """One watcher has been told something."""
        self._heard += 1
        if self._heard > self._awaited:
            self._awaited += self._watchers
            self._until = time.perf_counter() + self._longest
            self._stay_awake()

    def _stay_awake(self) -> None:
        if self._heard < self._awaited and time.perf_counter() < self._until:
            asyncio.get_running_loop().call_soon(self._stay_awake)
        else:
            self._awaited = self._heard


class Watcher(asyncio.Protocol):
    """One watch; each event carries the time at which its change was asked for.

    TLS is done by hand, so that most watchers can leave what they receive encrypted: to decrypt a thousand copies
    would take the generator longer than it takes the server to send them. One in ten looks at its events.
    """

    MARK = b'"sent":"'

    def __init__(
        self, context: ssl.SSLContext, path: str, attention: Attention, delays: list[float], looks: bool
    ) -> None:
        self._path = path
        self._attention = attention
        self._delays = delays
        self._looks = looks
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._shaken = False
        self.begun = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self.begun.done():
            self._attention.hear()
            if not self._looks:
                return
        self._incoming.write(data)
        if not self._shaken:
            self._shake()
        if self._shaken:
            self._read(now)

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            self._shaken = True
            self._tls.write(request("GET", self._path))
        except ssl.SSLWantReadError:
            pass
        self._transport.write(self._outgoing.read())

    def _read(self, now: float) -> None:
        try:
            while data := self._tls.read(1 << 20):
                if not self.begun.done() and b"HTTP/1.1 200" in data:
                    self.begun.set_result(None)
                self._look(data, now)
        except ssl.SSLWantReadError:
            return

    def _look(self, data: bytes, now: float) -> None:
        at = 0
        while (at := data.find(self.MARK, at)) >= 0:
            at += len(self.MARK)
            text = data[at : data.find(b'"', at)]
            if text:
                self._delays.append(now - float(text))


async def watch(target: Target, watchers: int, rate: float, seconds: float, server: int) -> dict[str, Any]:
    """Many watchers of all config maps of a namespace, and some changes a second.

    What a delivery costs is counted after the watches have begun: a thousand handshakes cost more than the changes.
    """
    loop = asyncio.get_running_loop()
    context = target.context()
    delays: list[float] = []
    base = "/api/v1/namespaces/default/configmaps"
    names = [f"watched-{at}" for at in range(10)]
    await call(target, 1, (request("POST", base, config_map(name)) for name in names))
    transports = []
    attention = Attention(watchers, longest=1 / rate)
    for at in range(watchers):
        transport, watcher = await loop.create_connection(
            lambda at=at: Watcher(  # type: ignore[misc]
                context, f"{base}?watch=1", attention, delays, at % SAMPLE == 0
            ),
            "127.0.0.1",
            target.port,
        )
        await watcher.begun
        transports.append(transport)
    await asyncio.sleep(1)
    delays.clear()
    gc.collect()
    gc.freeze()  # a collection of a thousand watchers would be counted as the server's delay
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", target.port, ssl=context, server_hostname="127.0.0.1"
    )
    changes = int(rate * seconds)
    begun, spent, own = time.perf_counter(), cpu_seconds(server), time.process_time()
    for at in range(changes):
        await asyncio.sleep(max(0.0, begun + at / rate - time.perf_counter()))
        body = json.dumps({"metadata": {"annotations": {"sent": repr(time.perf_counter())}}}).encode()
        path = f"{base}/{names[at % len(names)]}"
        writer.write(request("PATCH", path, body, "application/merge-patch+json"))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
    await asyncio.sleep(1)
    deliveries = changes * watchers
    costs = {
        "cpu_us": 1e6 * (cpu_seconds(server) - spent) / deliveries,
        "generator_us": 1e6 * (time.process_time() - own) / deliveries,
    }
    for transport in transports:
        transport.close()
    writer.close()
    await call(target, 1, (request("DELETE", f"{base}/{name}") for name in names))  # the next run begins anew
    found = report(Tally(list(delays)), seconds)
    return found | costs | {"expected": deliveries // SAMPLE}


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def config_map(name: str) -> bytes:
    """A config map of about two kilobytes."""
    body = {"metadata": {"name": name, "annotations": {"sent": ""}}, "data": {"text": "x" * 1500}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap"} | body).encode()


def pod(name: str) -> bytes:
    """A pod like those that a Deployment makes."""
    labels = {"app": "web", "pod-template-hash": "5d59d67564", "tier": "front", "release": "r1"}
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 1}
    container = {
        "name": "web",
        "image": "registry.example/web:1.2.3",
        "args": ["--listen=:8080", "--log-level=info"],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "env": [{"name": f"VARIABLE_{at}", "value": f"value of variable {at}"} for at in range(8)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "web"}}]}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).encode()


SAMPLE = 10  # one watcher in so many looks at its events
PODS = "/api/v1/namespaces/default/pods"
_MERGE = "application/merge-patch+json"
_SORTS: dict[str, Callable[[int, int], bytes]] = {
    "service_account": lambda at, count: request(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts",
        b'{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}',
    ),
    "create": lambda at, count: request("POST", PODS, pod(f"web-{at:05d}")),
    "get": lambda at, count: request("GET", f"{PODS}/web-{at * 7919 % count:05d}"),
    "merge_patch": lambda at, count: request(
        "PATCH", f"{PODS}/web-{at % count:05d}", b'{"metadata":{"labels":{"n":"%d"}}}' % at, _MERGE
    ),
    "status_patch": lambda at, count: request(
        "PATCH",
        f"{PODS}/web-{at % count:05d}/status",
        b'{"status":{"phase":"Running","message":"%d"}}' % at,
        _MERGE,
    ),
    "delete": lambda at, count: request(
        "DELETE", f"{PODS}/web-{at:05d}", b'{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}'
    ),
}


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order."""
    target = Target(order["port"], order["directory"])
    sort = order["sort"]
    if sort == "watch":
        return await watch(target, order["watchers"], order["rate"], order["seconds"], order["server"])
    if sort == "list":
        return await asyncio.to_thread(download, target, order["clients"], order["path"], order["count"])
    if sort == "read":
        asked = itertools.repeat(request("GET", order["path"]), order["count"])
        return await call(target, order["clients"], asked)
    make, first = _SORTS[sort], order.get("first", 0)
    requests = [make(first + at, order["objects"]) for at in range(order["count"])]
    return await call(target, order["clients"], iter(requests))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(json.loads(sys.stdin.readline())))))
