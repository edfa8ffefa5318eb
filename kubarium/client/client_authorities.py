"""Who vouches for the clients of a program's own port: what its flags say, else what the API server has published.

Two authorities, for different things: one for clients that are who their certificate says, one for front proxies, which
say in headers who it is that asks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from kubarium.api.authentication.request_headers import HeaderNames
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.memory_files import MemoryFiles
from kubarium.component_base.secure_serving import SecureServing

log = logging.get(__name__)

CONFIG_MAP = "extension-apiserver-authentication"


@dataclass(frozen=True)
class ClientAuthorities:
    """Names of PEM files, or nothing; which proxies are believed (all, if none is named), and their headers."""

    clients: str = ""
    proxies: str = ""
    proxy_names: frozenset[str] = frozenset()
    headers: HeaderNames = field(default_factory=HeaderNames)


def of_flags(flags: SecureServing) -> ClientAuthorities:
    """What the command line says."""
    headers = HeaderNames(
        flags.requestheader_username_headers,
        flags.requestheader_uid_headers,
        flags.requestheader_group_headers,
        flags.requestheader_extra_headers_prefix,
    )
    names = frozenset(flags.requestheader_allowed_names)
    return ClientAuthorities(flags.client_ca_file, flags.requestheader_client_ca_file, names, headers)


async def look_up(
    flags: SecureServing, client: Client | None, clock: Clock, files: MemoryFiles
) -> ClientAuthorities:
    """Fill in from the cluster what no flag says; certificates are kept in `files`."""
    given = of_flags(flags)
    if client is None or flags.authentication_skip_lookup or (given.clients and given.proxies):
        return given
    data = await _published(flags, client, clock)
    clients = given.clients or _kept(files, "client-ca.crt", data.get("client-ca-file"))
    if given.proxies or not data.get("requestheader-client-ca-file"):
        return ClientAuthorities(clients, given.proxies, given.proxy_names, given.headers)
    return ClientAuthorities(
        clients,
        _kept(files, "front-proxy-ca.crt", data["requestheader-client-ca-file"]),
        frozenset(_names(data, "allowed-names")),
        HeaderNames(
            _names(data, "username-headers"),
            _names(data, "uid-headers"),
            _names(data, "group-headers"),
            _names(data, "extra-headers-prefix"),
        ),
    )


async def _published(flags: SecureServing, client: Client, clock: Clock) -> Object:
    while True:
        try:
            found = await client.resource("v1", "configmaps").get(CONFIG_MAP, "kube-system")
        except (StatusError, OSError, TimeoutError) as error:
            if not flags.authentication_tolerate_lookup_failure:
                raise
            if isinstance(error, StatusError) and error.code in (403, 404):
                log.warning("no authority for client certificates: %s", error)
                return {}
            await clock.sleep(1.0)
            continue
        return found.get("data") or {}


def _names(data: Object, what: str) -> tuple[str, ...]:
    return tuple(json.loads(data.get(f"requestheader-{what}") or "[]"))


def _kept(files: MemoryFiles, name: str, text: str | None) -> str:
    return files.keep(name, text.encode()) if text else ""
