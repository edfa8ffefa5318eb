"""CustomResourceDefinitions become catalog rows, and leave the catalog when they go.

A new definition is judged (`naming.py`); its rows are served *before* its status says Established, so that whoever
waits for the condition finds the resource. A deleted definition keeps its finalizer until its objects are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apiserver.extensions import naming
from apiserver.extensions.custom_resource import Conversions, rows_of
from apiserver.registry.registrations import CLEANUP_FINALIZER
from apiserver.registry.resource import Catalog
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionResource, join
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    status_of,
)
from kubarium.apimachinery.schema.catalog import Catalog as Schemas
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

API_VERSION, PLURAL = "apiextensions.k8s.io/v1", "customresourcedefinitions"
EMPTYING_SECONDS = 0.5  # between looks at a resource that is being emptied


@dataclass(frozen=True, slots=True)
class _Served:
    """What is served of a definition."""

    revision: str
    rows: list[GroupVersionResource]
    meaning: Object


def _meaning(definition: Object) -> Object:
    """What watches depend on: their objects would be read otherwise if it changed."""
    return {
        "spec": spec_of(definition),
        "status": {"acceptedNames": status_of(definition).get("acceptedNames")},
    }


def _prefix(definition: Object) -> str:
    """Where the objects of a definition are kept, also those that a webhook converts."""
    spec = spec_of(definition)
    return f"/registry/{spec['group']}/{spec['names']['plural']}/"


class CustomResources(Controller):
    """Follows the definitions and keeps the catalog like them."""

    name = "custom-resources"
    workers = 1  # names are judged one after another

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        catalog: Catalog,
        schemas: Schemas,
        conversions: Conversions | None = None,
        end_watches: Callable[[str], None] = lambda prefix: None,
    ) -> None:
        self._catalog = catalog
        self._end_watches = end_watches
        self._conversions = conversions
        self._schemas = schemas
        self._served: dict[str, _Served] = {}  # by definition
        self._filled = False
        super().__init__(client, informers, clock)
        self._definitions = self.informer(API_VERSION, PLURAL)

    def watches(self) -> Sequence[Watch]:
        return [Watch(API_VERSION, PLURAL)]

    async def started(self) -> None:
        for definition in self._definitions.lister.list():
            if naming.is_established(definition):
                self._serve(definition)
        self._filled = True

    async def check(self) -> None:
        """For `/readyz`: raises until every definition that exists is served."""
        if not self._filled:
            raise errors.ServiceUnavailable("custom resources are not served yet")

    async def reconcile(self, key: ObjectKey) -> float | None:
        definition = self._definitions.lister.get(key)
        if definition is None:
            self._withdraw(key.name)
            return None
        if is_deleting(definition):
            return await self._finish(definition)
        status = naming.judged(definition, self._definitions.lister.list(), self.clock.now())
        if naming.is_established({"status": status}):
            self._serve({**definition, "status": status})
        if status != status_of(definition):
            changed = copy(definition)
            changed["status"] = status
            await self.client.resource(API_VERSION, PLURAL).update_status(changed)
        return None

    def _serve(self, definition: Object) -> None:
        name, revision = name_of(definition), resource_version_of(definition)
        known = self._served.get(name)
        if known is not None and known.revision == revision:
            return
        rows = rows_of(definition, self._schemas, self._conversions)
        if known is None:
            log.info("serving %s", name)
        served = _Served(revision, [row.gvr for row in rows], _meaning(definition))
        self._served[name] = served
        gone = [gvr for gvr in known.rows if gvr not in served.rows] if known is not None else []
        if gone:
            self._catalog.remove(gone)
        self._catalog.add(rows)
        if known is not None and known.meaning != served.meaning:
            self._end_watches(_prefix(definition))  # upstream: whoever comes again sees what is served now

    def _withdraw(self, name: str) -> None:
        known = self._served.pop(name, None)
        if known is not None:
            log.info("no longer serving %s", name)
            self._end_watches(_prefix(known.meaning))
            self._catalog.remove(known.rows)

    async def _finish(self, definition: Object) -> float | None:
        """Delete the objects of a definition that goes, then let it go."""
        if CLEANUP_FINALIZER not in finalizers_of(definition):
            return None
        if naming.is_established(definition):
            self._serve(definition)
        known = self._served.get(name_of(definition))
        if known is not None and known.rows and await self._delete_objects(definition, known.rows[0]):
            return EMPTYING_SECONDS
        changed = copy(definition)
        changed["metadata"]["finalizers"] = [
            finalizer for finalizer in finalizers_of(definition) if finalizer != CLEANUP_FINALIZER
        ]
        try:
            await self.client.resource(API_VERSION, PLURAL).update(changed)
        except errors.NotFound:
            log.debug("%s is gone already", name_of(definition))
        return None

    async def _delete_objects(self, definition: Object, gvr: GroupVersionResource) -> int:
        """Ask for the deletion of all objects; how many are still there."""
        resource = self.client.resource(join(gvr.group, gvr.version), gvr.resource)
        items = (await resource.list())["items"]
        namespaced = spec_of(definition)["scope"] == "Namespaced"
        for namespace in {namespace_of(item) for item in items if not is_deleting(item)}:
            await resource.delete_collection(namespace=namespace if namespaced else "")
        return len((await resource.list())["items"]) if items else 0
