"""csi: volumes of drivers that register with the kubelet; no driver can register here yet, so each is unknown."""

from __future__ import annotations

from pathlib import Path

from kubarium.apimachinery.object import Object
from kubelet.volumes.plugin import Mounted, VolumeError


class CSI:
    """`csi: {driver, ...}`, inline or of a persistent volume."""

    name = "csi"

    def supports(self, volume: Object) -> bool:
        return volume.get("csi") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        driver = volume["csi"].get("driver") or ""
        raise VolumeError(
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: "
            f"driver name {driver} not found in the list of registered CSI drivers"
        )

    async def tear_down(self, directory: Path) -> None:
        return None
