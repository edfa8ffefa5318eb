"""`kubectl proxy`: the API server on a local port, for browsers and `curl`; we are who the kubeconfig says.

Paths that open a shell are refused, and so are hosts that are not this machine, for a page of the web must not
reach the cluster through it.
"""

from __future__ import annotations

import re

import click

from kubarium.client.rest import Client
from kubarium.component_base.serving import App, Receive, Scope, Send, respond, serve
from kubarium.kubectl.commandline import command
from kubarium.kubectl.session import Session, say, with_session

# Of this connection, not of the next one; and what we say ourselves.
NOT_PASSED_ON = {
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
}


@command()
@click.option("-p", "--port", default=8001)
@click.option("--address", default="127.0.0.1")
@click.option("--api-prefix", default="/")
@click.option("--accept-hosts", default=r"^localhost$,^127\.0\.0\.1$,^\[::1\]$")
@click.option("--accept-paths", default="^.*")
@click.option("--reject-paths", default="^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach")
@click.option("--reject-methods", default="^$")
@click.option("--disable-filter", is_flag=True)
@with_session
async def proxy(
    session: Session,
    port: int,
    address: str,
    api_prefix: str,
    accept_hosts: str,
    accept_paths: str,
    reject_paths: str,
    reject_methods: str,
    disable_filter: bool,
) -> None:
    """Run a proxy to the Kubernetes API server."""
    gate = Gate(accept_hosts, accept_paths, reject_paths, reject_methods)
    app = forwarder(session.client, None if disable_filter else gate, api_prefix.rstrip("/"))
    await serve(
        app, address, port, ws="none", started=lambda bound: say(f"Starting to serve on {address}:{bound}")
    )


class Gate:
    """Who may come in, and where to; each argument is a list of regular expressions, parted by commas."""

    def __init__(self, hosts: str, paths: str, rejected_paths: str, rejected_methods: str) -> None:
        self._hosts, self._paths = _expressions(hosts), _expressions(paths)
        self._rejected_paths = _expressions(rejected_paths)
        self._rejected_methods = _expressions(rejected_methods)

    def lets_in(self, method: str, path: str, host: str) -> bool:
        """Is this request harmless?"""
        name = re.sub(r":\d+$", "", host)
        if any(one.search(path) for one in self._rejected_paths):
            return False
        if any(one.search(method) for one in self._rejected_methods):
            return False
        return any(one.search(path) for one in self._paths) and any(one.search(name) for one in self._hosts)


def forwarder(client: Client, gate: Gate | None, prefix: str) -> App:
    """An ASGI application that passes each request on as it is."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        raw = scope["raw_path"].decode("latin-1")
        if gate is not None and not gate.lets_in(scope["method"], scope["path"], headers.get("host", "")):
            await respond(send, 403, "text/plain; charset=utf-8", b"Forbidden\n")
            return
        if not raw.startswith(prefix + "/"):
            await respond(send, 404, "text/plain; charset=utf-8", b"404 page not found\n")
            return
        query = scope["query_string"].decode("latin-1")
        target = raw[len(prefix) :] + (f"?{query}" if query else "")
        passed = {name: value for name, value in headers.items() if name not in NOT_PASSED_ON}
        try:
            answer = await client.transport.send(
                scope["method"], target, client.headers(passed), await _body(receive), None
            )
        except (ConnectionError, TimeoutError) as error:
            await respond(send, 502, "text/plain; charset=utf-8", f"{error}\n".encode())
            return
        try:
            head = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in answer.headers.items()
                if name.lower() not in NOT_PASSED_ON
            ]
            await send({"type": "http.response.start", "status": answer.status, "headers": head})
            async for chunk in answer.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            answer.close()

    return app


async def _body(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts) or None


def _expressions(text: str) -> list[re.Pattern[str]]:
    return [re.compile(part) for part in text.split(",") if part]
