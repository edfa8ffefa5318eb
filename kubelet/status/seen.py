"""What the status of a pod is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kubarium.apimachinery.object import Object
from kubelet.runtime.interface import ContainerStatus, StartError
from kubelet.runtime.state import PodState


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything besides the pod from which its status is made."""

    state: PodState
    reasons: Mapping[str, StartError] = field(default_factory=dict)  # by container name
    readiness: Mapping[str, bool] = field(default_factory=dict)  # by container id
    startup: Mapping[str, bool] = field(default_factory=dict)
    host_ips: Sequence[str] = ()
    runtime_name: str = "containerd"
    terminating: bool = False  # nothing will be started any more
    resize: Sequence[Object] = ()  # conditions PodResizePending, PodResizeInProgress
    restarting_all: bool = False  # one container's end restarts all of them
    removed: Mapping[str, ContainerStatus] = field(default_factory=dict)  # by name: how they had ended then
    unsettled: Sequence[str] = ()  # containers whose limits are not yet what they should be
    recursive_read_only: bool = False  # can mounts be so?
    device_health: Callable[[str], list[Object]] = lambda name: []  # of a container
