"""What is known about a request before anyone acts on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubarium.component_base.clock import Clock


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Groups as the authenticator gave them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
LOOPBACK = User("system:apiserver", groups=("system:masters",))
"""The API server asking itself, over `client/loopback.py`."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A URL and a method, understood.

    For `/api/v1/namespaces/default/pods/web/log`: verb `get`, version `v1`, namespace `default`, resource `pods`,
    name `web`, subresource `log`. Paths that are no resources have only a verb (the method in lower case) and a path.
    """

    path: str
    verb: str
    is_resource: bool = False
    api_prefix: str = ""  # "api" or "apis"
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()  # what follows the subresource, for proxies
    label_selector: str = ""  # of list, watch and deletecollection; for authorizers
    field_selector: str = ""


@dataclass(slots=True)
class RequestContext:
    """What the filters found out, carried down to storage."""

    info: RequestInfo
    user: User
    clock: Clock
    query: Mapping[str, list[str]] = field(default_factory=dict)
    user_agent: str = ""
    source_ip: str = ""
    audit_id: str = ""
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"  # Strict, Warn or Ignore
    impersonated_by: User | None = None
    warnings: list[str] = field(default_factory=list)  # become `Warning:` headers
    audit_annotations: dict[str, str] = field(default_factory=dict)
    deadline: asyncio.Event | None = None

    def warn(self, text: str) -> None:
        """Tell the client something it should know although the request succeeds."""
        if text not in self.warnings:
            self.warnings.append(text)


CONTEXT = "kubarium.request"
"""Where a filter finds the `RequestContext` in an ASGI scope."""
