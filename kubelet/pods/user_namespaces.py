"""Pods with users of their own (`hostUsers: false`): each gets a range of the node's ids that no other pod has.

Who has which is written into the pod's directory, where a restarted kubelet finds it.
Source: https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kubarium.apimachinery.object import Object, spec_of, uid_of
from kubelet import checkpoint
from kubelet.runtime.interface import ContainerRuntimeError, RuntimeInfo

LENGTH = 65536  # ids of one pod; the first range is the node's own
FILE = "userns"


def wants_own_users(pod: Object) -> bool:
    """Shall root in the pod be nobody on the node?"""
    return spec_of(pod).get("hostUsers") is False


class UserNamespaces:
    """Ranges by pod."""

    def __init__(self, pods: Path, most: int, runtime: Callable[[], RuntimeInfo]) -> None:
        self._pods = pods
        self._most = most
        self._runtime = runtime

    def ids_of(self, pod: Object, handler: str) -> tuple[Mapping[str, int], ...]:
        """How the pod's ids are mapped; nothing for pods that use the node's. Raises ContainerRuntimeError."""
        if not wants_own_users(pod):
            return ()
        known = self._runtime().handler(handler)
        if known is None:
            raise ContainerRuntimeError(f'the handler "{handler}" is not known')
        if not known.user_namespaces:
            raise ContainerRuntimeError(f'RuntimeClass handler "{handler}" does not support user namespaces')
        first = self._first(uid_of(pod))
        return ({"host_id": first, "container_id": 0, "length": LENGTH},)

    def _first(self, uid: str) -> int:
        file = self._pods / uid / FILE
        first = _read(file)
        if first is not None:
            return first
        taken = {_read(other) for other in self._pods.glob(f"*/{FILE}")}
        free = (number * LENGTH for number in range(1, self._most + 1) if number * LENGTH not in taken)
        first = next(free, None)
        if first is None:
            raise ContainerRuntimeError("could not find an empty slot to allocate a user namespace")
        mapping = [{"hostId": first, "containerId": 0, "length": LENGTH}]
        checkpoint.write(file, {"uidMappings": mapping, "gidMappings": mapping})
        return first


def _read(file: Path) -> int | None:
    try:
        return int(checkpoint.read(file)["uidMappings"][0]["hostId"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
