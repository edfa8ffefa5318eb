"""Two loops: claims become volumes, released volumes go."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from addons.local_path_provisioner import volume as volumes
from addons.local_path_provisioner.options import Options
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

POLL_SECONDS = 1.0


class Provisioner(Controller):
    """A volume for each claim that waits for us."""

    name = "local-path-provisioner"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, options: Options, events: EventRecorder
    ) -> None:
        self._options, self._events = options, events
        super().__init__(client, informers, clock)
        self._claims = self.informer("v1", "persistentvolumeclaims").lister
        self._classes = self.informer("storage.k8s.io/v1", "storageclasses").lister
        self._volumes = client.resource("v1", "persistentvolumes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumeclaims")]

    async def reconcile(self, key: ObjectKey) -> None:
        claim = self._claims.get(key)
        name = self._options.provisioner_name
        if claim is None or is_deleting(claim) or not volumes.is_ours(claim, name):
            return
        node = volumes.selected_node(claim)
        storage_class = self._classes.get("", spec_of(claim).get("storageClassName") or "")
        if not node or storage_class is None:
            return
        wanted = volumes.volume_for(claim, storage_class, node, name, self._options.path)
        self._events.event(
            claim, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{key}"'
        )
        with contextlib.suppress(errors.AlreadyExists):
            await self._volumes.create(wanted)
        text = f"Successfully provisioned volume {name_of(wanted)}"
        self._events.event(claim, "Normal", "ProvisioningSucceeded", text)


class Remover(Controller):
    """Removes the folder of a released volume, then the volume."""

    name = "local-path-remover"

    def __init__(self, client: Client, informers: Informers, clock: Clock, options: Options) -> None:
        self._options = options
        super().__init__(client, informers, clock)
        self._lister = self.informer("v1", "persistentvolumes").lister
        self._volumes = client.resource("v1", "persistentvolumes")
        self._pods = client.resource("v1", "pods")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumes")]

    async def reconcile(self, key: ObjectKey) -> float | None:
        volume = self._lister.get(key)
        if volume is None or not volumes.is_to_be_removed(volume, self._options.provisioner_name):
            return None
        pod = await self._ensure_pod(volume)
        phase = status_of(pod).get("phase")
        if phase not in ("Succeeded", "Failed"):
            return POLL_SECONDS
        with contextlib.suppress(errors.NotFound):
            await self._pods.delete(name_of(pod), namespace_of(pod))
        if phase == "Failed":
            return POLL_SECONDS
        with contextlib.suppress(errors.NotFound):
            await self._volumes.delete(key.name)
        return None

    async def _ensure_pod(self, volume: Object) -> Object:
        wanted = volumes.removal_pod(volume, self._options.namespace, self._options.helper_image)
        try:
            return await self._pods.create(wanted)
        except errors.AlreadyExists:
            return await self._pods.get(name_of(wanted), namespace_of(wanted))
