"""Tells the API server which node a pod goes to."""

from __future__ import annotations

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from scheduler.framework.interface import BindPlugin, Code, CycleState, Handle, Status
from scheduler.framework.pod_info import PodInfo


class DefaultBinder(BindPlugin):
    """POSTs to the pod's `binding` subresource; the uid makes sure that a namesake is not bound instead."""

    name = "DefaultBinder"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._pods = handle.client.resource("v1", "pods")

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        binding: Object = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._pods.create(binding, namespace=pod.namespace, subresource="binding")
        except (StatusError, ConnectionError, TimeoutError) as error:
            return Status(Code.ERROR, str(error) or type(error).__name__)
        return None
