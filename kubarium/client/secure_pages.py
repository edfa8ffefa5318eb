"""The pages of a control loop's own HTTPS port, behind a door that asks the API server.

    /healthz /livez /readyz   for everybody
    /metrics                  what is measured; /metrics/slis: what the health checks said
    /configz                  the configuration in force
    /statusz /flagz           how long the program has been running, and with which flags
    /debug/flags/v            PUT changes how much is logged
    /debug/pprof/             where each task stands, unless --profiling=false

A program adds pages of its own.
Source: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client import client_authorities, kubeconfig
from kubarium.client.client_authorities import ClientAuthorities
from kubarium.client.delegated_access import Door, Rules, Vouchers
from kubarium.client.rest import Client
from kubarium.component_base import logging, profiling, serving
from kubarium.component_base.clock import Clock
from kubarium.component_base.health import Health
from kubarium.component_base.issuers import Issuers
from kubarium.component_base.memory_files import MemoryFiles
from kubarium.component_base.secure_serving import SecureServing, key_pair
from kubarium.component_base.serving import Page, Receive, Scope, Send
from kubarium.component_base.status_pages import TEXT, StatusPages

JSON = "application/json"


class SecurePages:
    """One program's port."""

    def __init__(self, name: str, flags: SecureServing, clock: Clock) -> None:
        self.name = name
        self.health = Health()
        self._flags, self._clock = flags, clock
        self._table: dict[str, Page] = {
            **self.health.pages(),
            **StatusPages(name, flags, clock, lambda: self._table).pages(),
            "/debug/flags/v": self._verbosity,
        }
        if flags.profiling:
            self._table |= profiling.pages()

    def add(self, path: str, page: Page) -> None:
        """One more page; a path that ends in `/` stands for everything below."""
        self._table[path] = page

    def show_configuration(self, name: str, configuration: Callable[[], Object]) -> None:
        """What `/configz` says under this name."""

        async def configz(scope: Scope) -> tuple[int, str, bytes]:
            return 200, JSON, orjson.dumps({name: configuration()})

        self.add("/configz", configz)

    async def serve(self) -> None:
        """Until cancelled."""
        flags = self._flags
        tokens, accesses = _client(flags.authentication_kubeconfig), _client(flags.authorization_kubeconfig)
        rules = Rules(
            open_paths=flags.authorization_always_allow_paths,
            token_for=flags.authentication_token_webhook_cache_ttl,
            allowed_for=flags.authorization_webhook_cache_authorized_ttl,
            denied_for=flags.authorization_webhook_cache_unauthorized_ttl,
        )
        with MemoryFiles() as files:
            try:
                known = await client_authorities.look_up(flags, tokens, self._clock, files)
                door = Door(tokens, accesses, self._clock, rules, _vouchers(known))
                tls = serving.TLS(
                    *key_pair(flags, self.name, files),
                    known.clients or known.proxies or None,
                    more_ca_files=(known.proxies,) if known.proxies else (),
                    min_version=flags.tls_min_version,
                    cipher_suites=flags.tls_cipher_suites,
                    by_name=flags.tls_sni_cert_key,
                )
                app = guarded(door, serving.pages(self._table))
                await serving.serve(
                    app,
                    flags.bind_address,
                    flags.secure_port,
                    tls,
                    http=serving.IdentifyingProtocol,
                    ws="none",
                )
            finally:
                for client in (tokens, accesses):
                    if client is not None:
                        await client.close()

    # ---- pages

    async def _verbosity(self, scope: Scope) -> tuple[int, str, bytes]:
        if scope["method"] != "PUT":
            return 405, TEXT, b"unsupported http method\n"
        text = (await scope["state"]["read"]()).decode().strip()
        if not text.isdigit():
            return (
                400,
                TEXT,
                f'error setting verbosity: strconv.ParseInt: parsing "{text}": invalid syntax'.encode(),
            )
        logging.show(int(text))
        return 200, TEXT, f"successfully set klog.logging.verbosity to {text}".encode()


def guarded(door: Door, app: serving.App) -> serving.App:
    """An application whose every page is behind the door."""

    async def entered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await door.enter(scope)
        except (errors.Unauthorized, errors.Forbidden) as refusal:
            await serving.respond(send, refusal.code, JSON, orjson.dumps(refusal.status()))
            return
        scope["state"] = {**(scope.get("state") or {}), "read": _reader(receive)}
        await app(scope, receive, send)

    return entered


def _reader(receive: Receive) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        parts: list[bytes] = []
        while True:
            message: Mapping[str, Any] = await receive()
            parts.append(message.get("body") or b"")
            if not message.get("more_body"):
                return b"".join(parts)

    return read


def _vouchers(known: ClientAuthorities) -> Vouchers | None:
    if not known.proxies:
        return None
    clients = Issuers.load(known.clients) if known.clients else Issuers([])
    return Vouchers(clients, Issuers.load(known.proxies), known.proxy_names, known.headers)


def _client(path: str) -> Client | None:
    return Client(kubeconfig.load(path), user_agent="delegated-auth") if path else None
