"""Which persistent volume claims a pod mounts, and what is known of them."""

from __future__ import annotations

from kubarium.api.core.volume_binding import BIND_COMPLETED
from kubarium.apimachinery.object import Object
from scheduler.framework.pod_info import PodInfo


def claim_names(pod: PodInfo) -> list[str]:
    """The claims of the pod's own namespace that it mounts; an ephemeral volume's claim is named after pod
    and volume.
    """
    return [name for volume in pod.volumes if (name := claim_name(pod.name, volume))]


def claim_name(pod_name: str, volume: Object) -> str:
    """The claim behind one volume, or nothing."""
    if "persistentVolumeClaim" in volume:
        return str(volume["persistentVolumeClaim"]["claimName"])
    if "ephemeral" in volume:
        return f"{pod_name}-{volume['name']}"
    return ""


def is_bound(claim: Object) -> bool:
    """Has the claim its volume, agreed on by both sides?"""
    annotations = claim["metadata"].get("annotations") or {}
    return bool((claim.get("spec") or {}).get("volumeName")) and BIND_COMPLETED in annotations


def node_terms_of(volume: Object) -> list[Object] | None:
    """From which nodes the volume can be reached, as node selector terms; None: from all."""
    affinity = (volume.get("spec") or {}).get("nodeAffinity") or {}
    required = affinity.get("required")
    return None if required is None else required.get("nodeSelectorTerms") or []
