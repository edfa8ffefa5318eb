"""For whom a kubelet may ask tokens: for those that the pod's own volumes name."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of
from kubarium.client.rest import Client


class PodAudiences:
    """Looks into the volumes of a pod, and follows them to their CSI drivers."""

    def __init__(self, client: Client) -> None:
        self._claims = client.resource("v1", "persistentvolumeclaims")
        self._volumes = client.resource("v1", "persistentvolumes")
        self._drivers = client.resource("storage.k8s.io/v1", "csidrivers")

    async def names(self, pod: Object, audience: str) -> bool:
        """Does the pod want a token for this audience? The empty one is the API server's."""
        if audience in _projected(pod):
            return True
        for volume in spec_of(pod).get("volumes") or ():
            driver = await self._driver_of(pod, volume)
            if driver and audience in await self._wanted_by(driver):
                return True
        return False

    async def _driver_of(self, pod: Object, volume: Object) -> str:
        if volume.get("csi"):
            return str(volume["csi"].get("driver") or "")
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName") or ""
        if volume.get("ephemeral"):
            claim = f"{name_of(pod)}-{volume['name']}"
        if not claim:
            return ""
        try:
            bound = spec_of(await self._claims.get(claim, namespace_of(pod))).get("volumeName")
            return (
                (spec_of(await self._volumes.get(bound)).get("csi") or {}).get("driver") or ""
                if bound
                else ""
            )
        except errors.NotFound:
            return ""

    async def _wanted_by(self, driver: str) -> list[str]:
        try:
            requests = spec_of(await self._drivers.get(driver)).get("tokenRequests") or ()
        except errors.NotFound:
            return []
        return [request.get("audience") or "" for request in requests]


def _projected(pod: Object) -> Iterator[str]:
    for volume in spec_of(pod).get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (token := source.get("serviceAccountToken")) is not None:
                yield token.get("audience") or ""
