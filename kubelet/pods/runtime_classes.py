"""Which of the runtime's handlers runs a pod: its RuntimeClass says so."""

from __future__ import annotations

from collections.abc import Callable

from kubarium.apimachinery.object import Object, spec_of
from kubarium.client.lister import Lister
from kubelet.runtime.interface import ContainerRuntimeError, RuntimeInfo


class RuntimeClasses:
    """The classes of the cluster, and what the handlers of this node can do."""

    def __init__(self, classes: Lister, runtime: Callable[[], RuntimeInfo]) -> None:
        self._classes = classes
        self._runtime = runtime

    def handler(self, pod: Object) -> str:
        """The name of the pod's handler; empty for the usual one. Raises ContainerRuntimeError."""
        name = spec_of(pod).get("runtimeClassName")
        if not name:
            return ""
        found = self._classes.get("", name)
        if found is None:
            raise ContainerRuntimeError(f'failed to get sandbox runtime: RuntimeClass "{name}" not found')
        return str(found.get("handler") or "")

    def mounts_recursively_read_only(self, pod: Object) -> bool:
        """Can a mount of this pod be read-only with all that is mounted below it?"""
        try:
            return self._runtime().mounts_recursively_read_only(self.handler(pod))
        except ContainerRuntimeError:
            return False
