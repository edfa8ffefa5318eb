"""A volume of a pod -> what stands behind it: the claim, and the persistent volume that the claim is bound to."""

from __future__ import annotations

from kubarium.api.core.pod import affinity
from kubarium.apimachinery.object import (
    Object,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kubelet.volumes.plugin import VolumeError, VolumeHost

KINDS = ("hostPath", "local", "nfs", "csi", "iscsi", "fc")
NO_MATCH = "no matching NodeSelectorTerms"


def is_claimed(volume: Object) -> bool:
    """Is there a claim behind the volume?"""
    return volume.get("persistentVolumeClaim") is not None or volume.get("ephemeral") is not None


def claim_name_of(pod: Object, volume: Object) -> str:
    """The claim's name; that of a generic ephemeral volume is made of the pod's and the volume's."""
    if volume.get("ephemeral") is not None:
        return f"{name_of(pod)}-{volume['name']}"
    return str(volume["persistentVolumeClaim"]["claimName"])


async def resolve(pod: Object, volume: Object, host: VolumeHost) -> Object:
    """The volume as plugins know it. Raises VolumeError while the claim is not ready."""
    claim = await _claim(pod, volume, host)
    persistent = await _persistent(claim, host)
    spec = spec_of(persistent)
    _check_place(persistent, host.node())
    _check_mode(pod, volume, name_of(persistent), spec.get("volumeMode") or "Filesystem")
    user = volume.get("persistentVolumeClaim") or {}
    return {
        "name": name_of(persistent),
        **{kind: spec[kind] for kind in KINDS if spec.get(kind) is not None},
        "mountOptions": spec.get("mountOptions") or [],
        "readOnly": bool(user.get("readOnly")),
        "persistentVolume": persistent,
        "claim": claim,
    }


async def _claim(pod: Object, volume: Object, host: VolumeHost) -> Object:
    name = claim_name_of(pod, volume)
    where = f"error processing PVC {namespace_of(pod)}/{name}"
    claim = await host.fetch("PersistentVolumeClaim", namespace_of(pod), name)
    if claim is None:
        text = f'failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found'
        raise VolumeError(f"{where}: {text}", "")
    if volume.get("ephemeral") is not None and not _is_owned(claim, pod):
        owner = f"{namespace_of(pod)}/{name_of(pod)}"
        text = f"PVC {namespace_of(pod)}/{name} was not created for pod {owner} (pod is not owner)"
        raise VolumeError(text, "")
    if is_deleting(claim) and not status_of(pod).get("startTime"):
        raise VolumeError(f"{where}: PVC is being deleted", "")
    if status_of(claim).get("phase") != "Bound" or not spec_of(claim).get("volumeName"):
        raise VolumeError(f"{where}: PVC is not bound", "")
    return claim


def _is_owned(claim: Object, pod: Object) -> bool:
    owners = (claim.get("metadata") or {}).get("ownerReferences") or []
    return any(owner.get("controller") and owner.get("uid") == uid_of(pod) for owner in owners)


async def _persistent(claim: Object, host: VolumeHost) -> Object:
    name = spec_of(claim)["volumeName"]
    persistent = await host.fetch("PersistentVolume", "", name)
    where = f"error processing PVC {namespace_of(claim)}/{name_of(claim)}: failed to fetch PV {name} from API server"
    if persistent is None:
        raise VolumeError(f'{where}: persistentvolumes "{name}" not found', "")
    reference = spec_of(persistent).get("claimRef")
    if not reference:
        text = f"found PV object {name} with nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
        raise VolumeError(text, "")
    if reference.get("uid") and reference["uid"] != uid_of(claim):
        text = (
            f'found PV object "{name}" with a pv.Spec.ClaimRef.UID "{reference["uid"]}" that does not point '
            f'to the claim "{uid_of(claim)}"'
        )
        raise VolumeError(text, "")
    return persistent


def _check_place(persistent: Object, node: Object) -> None:
    terms = ((spec_of(persistent).get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
    if terms and not any(affinity.term_accepts(term, node) for term in terms):
        raise VolumeError(NO_MATCH, "MountVolume.NodeAffinity check")


def _check_mode(pod: Object, volume: Object, name: str, mode: str) -> None:
    """A block volume is a device to its containers, any other a directory."""
    spec = spec_of(pod)
    everyone = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    for field, wrong in (("volumeMounts", "Block"), ("volumeDevices", "Filesystem")):
        used = any(
            one["name"] == volume["name"] for container in everyone for one in container.get(field) or []
        )
        if used and mode == wrong:
            raise VolumeError(
                f"volume {volume['name']} has volumeMode {mode}, but is specified in {field}", ""
            )
