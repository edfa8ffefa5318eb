"""Two loops: claims become volumes, released volumes go. Both send a pod to the node to work on the folder."""

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

POLL_SECONDS = 0.5
REFUSED_SECONDS = 15.0


class HelperPods:
    """Pods that work on folders of nodes."""

    def __init__(self, client: Client) -> None:
        self._pods = client.resource("v1", "pods")

    async def done(self, wanted: Object) -> bool:
        """Start the pod, or see whether it has done its work; then it goes. Ask again until it has."""
        try:
            pod = await self._pods.get(name_of(wanted), namespace_of(wanted))
        except errors.NotFound:
            pod = await self._pods.create(wanted)
        phase = status_of(pod).get("phase")
        if phase in ("Succeeded", "Failed") and not is_deleting(pod):
            await self.stop(pod)
        return phase == "Succeeded"

    async def stop(self, pod: Object) -> None:
        """Let the pod go, whatever it has done."""
        with contextlib.suppress(errors.NotFound):
            await self._pods.delete(name_of(pod), namespace_of(pod), grace_period_seconds=0)


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
        self._known_volumes = self.informer("v1", "persistentvolumes").lister
        self._volumes = client.resource("v1", "persistentvolumes")
        self._helpers = HelperPods(client)
        self._begun: dict[ObjectKey, Object] = {}  # volumes whose folders are being made

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumeclaims")]

    async def reconcile(self, key: ObjectKey) -> float | None:
        claim = self._claims.get(key)
        name = self._options.provisioner_name
        begun = self._begun.get(key)
        if begun is not None and (claim is None or name_of(begun) != volumes.volume_name(claim)):
            await self._give_up(begun)
            del self._begun[key]
            begun = None
        if claim is None or is_deleting(claim) or not volumes.is_ours(claim, name):
            return None
        node = volumes.selected_node(claim)
        storage_class = self._classes.get("", spec_of(claim).get("storageClassName") or "")
        if not node or storage_class is None or self._known_volumes.get("", volumes.volume_name(claim)):
            return None
        if begun is None:
            text = f'External provisioner is provisioning volume for claim "{key}"'
            self._events.event(claim, "Normal", "Provisioning", text)
        problem = volumes.refusal(claim)
        if problem:
            text = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {problem}'
            self._events.event(claim, "Warning", "ProvisioningFailed", text)
            return REFUSED_SECONDS
        wanted = volumes.volume_for(claim, storage_class, node, name, self._options.path)
        self._begun[key] = wanted
        if not await self._helpers.done(self._creation_pod(wanted)):
            return POLL_SECONDS
        with contextlib.suppress(errors.AlreadyExists):
            await self._volumes.create(wanted)
        del self._begun[key]
        text = f"Successfully provisioned volume {name_of(wanted)}"
        self._events.event(claim, "Normal", "ProvisioningSucceeded", text)
        return None

    async def _give_up(self, volume: Object) -> None:
        """The claim went while the folder was made: the volume comes all the same, and goes as any that is released."""
        await self._helpers.stop(self._creation_pod(volume))
        with contextlib.suppress(errors.AlreadyExists):
            await self._volumes.create(volume)

    def _creation_pod(self, volume: Object) -> Object:
        return volumes.creation_pod(volume, self._options.namespace, self._options.helper_image)


class Remover(Controller):
    """Removes the folder of a released volume, then the volume."""

    name = "local-path-remover"

    def __init__(self, client: Client, informers: Informers, clock: Clock, options: Options) -> None:
        self._options = options
        super().__init__(client, informers, clock)
        self._lister = self.informer("v1", "persistentvolumes").lister
        self._volumes = client.resource("v1", "persistentvolumes")
        self._helpers = HelperPods(client)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumes")]

    async def reconcile(self, key: ObjectKey) -> float | None:
        volume = self._lister.get(key)
        if volume is None or not volumes.is_to_be_removed(volume, self._options.provisioner_name):
            return None
        options = self._options
        if not await self._helpers.done(volumes.removal_pod(volume, options.namespace, options.helper_image)):
            return POLL_SECONDS
        with contextlib.suppress(errors.NotFound):
            await self._volumes.delete(key.name)
        return None
