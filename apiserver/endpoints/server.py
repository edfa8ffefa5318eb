"""What the verb modules are handed: the parts that they all need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from apiserver.admission.plugin import Admission
from apiserver.endpoints.backends import Backends
from apiserver.registry.resource import Catalog, Resource
from apiserver.registry.store import Registry
from apiserver.request import RequestContext
from apiserver.storage.interface import Storage
from kubarium.apimachinery.schema.catalog import Catalog as Schemas
from kubarium.component_base.clock import Clock

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class Endpoints:
    """The parts behind every endpoint; built once in `app.py`."""

    catalog: Catalog
    storage: Storage
    registry: Registry
    schemas: Schemas
    admission: Admission
    clock: Clock
    backends: Backends


Handle = Callable[[Endpoints, Resource, RequestContext, Scope, Receive, Send], Awaitable[None]]
"""A verb's module answers a request with this function."""
