"""Builds all that has to do with volumes, and names its tasks: every kind of volume is one line here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import Runtime
from kubelet.volumes.csi.csi_node import CSINodeKeeper
from kubelet.volumes.csi.drivers import Drivers
from kubelet.volumes.host import Host
from kubelet.volumes.manager import VolumeManager
from kubelet.volumes.plugin import Plugin
from kubelet.volumes.plugins.csi import CSI
from kubelet.volumes.plugins.empty_dir import EmptyDir
from kubelet.volumes.plugins.files import ConfigMapVolume, DownwardVolume, ProjectedVolume, SecretVolume
from kubelet.volumes.plugins.host_path import HostPath
from kubelet.volumes.plugins.image import ImageVolume
from kubelet.volumes.plugins.local import Local
from kubelet.volumes.plugins.nfs import NFS
from kubelet.volumes.usage import VolumeUsage


class Storage:
    """The volume manager and the CSI drivers behind it."""

    def __init__(
        self,
        host: Host,
        client: Client,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        root: Path,
        node: str,
        pods: Callable[[], Iterable[Object]],
    ) -> None:
        self._csi_node = CSINodeKeeper(client, node, clock)
        self.drivers = Drivers(self._csi_node, host.csi_driver, clock)
        self.csi = CSI(
            host,
            self.drivers,
            root,
            clock,
            node=node,
            in_use_changed=host.in_use_changed,
            recorder=recorder,
        )
        plugins: list[Plugin] = [
            EmptyDir(),
            HostPath(),
            ConfigMapVolume(host),
            SecretVolume(host),
            DownwardVolume(host),
            ProjectedVolume(host),
            Local(root),
            NFS(),
            ImageVolume(runtime.view_image, runtime.give_back_view),
            self.csi,
        ]
        self.manager = VolumeManager(root, plugins, host, recorder)
        self.usage = VolumeUsage(self.manager, clock, pods)

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the pods."""
        return {
            "CSINode": self._csi_node.run(),
            "CSI capacity": self.drivers.run(),
            "volume usage": self.usage.run(),
        }
