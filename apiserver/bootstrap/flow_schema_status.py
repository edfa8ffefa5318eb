"""Says in the status of each FlowSchema whether its priority level exists: condition `Dangling`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.flowcontrol import priority
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, ObjectKey, copy, key_of, name_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

API_VERSION = "flowcontrol.apiserver.k8s.io/v1"


class FlowSchemaStatus(Controller):
    """Follows schemas and levels."""

    name = "flow-schema-status"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._schemas = informers.informer(API_VERSION, "flowschemas").lister
        self._levels = informers.informer(API_VERSION, "prioritylevelconfigurations").lister
        self._resource = client.resource(API_VERSION, "flowschemas")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        """Schemas themselves, and levels for the schemas that lead to them."""
        levels = Watch(API_VERSION, "prioritylevelconfigurations", keys=self._schemas_of)
        return [Watch(API_VERSION, "flowschemas"), levels]

    def _schemas_of(self, level: Object) -> Iterable[ObjectKey]:
        return [
            key_of(schema) for schema in self._schemas.list() if priority.level_of(schema) == name_of(level)
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        """Write the condition if it is not what it should be."""
        schema = self._schemas.get(key)
        if schema is None:
            return
        level = priority.level_of(schema)
        dangling = self._levels.get("", level) is None
        conditions: list[Object] = status_of(schema).get("conditions") or []
        told: Object = next((one for one in conditions if one.get("type") == "Dangling"), {})
        if told.get("status") == str(dangling):
            return
        new = copy(schema)
        others = [one for one in conditions if one is not told]
        new["status"] = {**status_of(schema), "conditions": [*others, self._condition(level, dangling)]}
        try:
            await self._resource.update_status(new)
        except errors.NotFound:
            return

    def _condition(self, level: str, dangling: bool) -> Object:
        what = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
        return {
            "type": "Dangling",
            "status": str(dangling),
            "lastTransitionTime": time.format_time(self.clock.now()),
            "reason": "NotFound" if dangling else "Found",
            "message": f"{what} but there is no such object" if dangling else f"{what} and it exists",
        }
