"""What the API server remarks on in a Service without refusing it (`pkg/api/service/warnings.go`)."""

from __future__ import annotations

from kubarium.api.core.service import CLUSTER_IP, EXTERNAL_NAME, is_headless, spec_of, type_of
from kubarium.apimachinery.object import Object, annotations_of

_OLD_TOPOLOGY = "service.kubernetes.io/topology-aware-hints"
_TOPOLOGY = "service.kubernetes.io/topology-mode"


def warnings(service: Object, old: Object | None) -> list[str]:
    """What is deprecated or has no effect."""
    spec = spec_of(service)
    found = []
    if _OLD_TOPOLOGY in annotations_of(service):
        found.append(f"annotation {_OLD_TOPOLOGY} is deprecated, please use {_TOPOLOGY} instead")
    external = type_of(service) == EXTERNAL_NAME
    headless = type_of(service) == CLUSTER_IP and is_headless(service)
    if headless:
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if spec.get("externalIPs"):
            found.append("spec.externalIPs is ignored for headless services")
        if (spec.get("sessionAffinity") or "None") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    elif spec.get("externalIPs") and not external:
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if external and spec.get("externalIPs"):
        found.append(f'spec.externalIPs is ignored when spec.type is "{EXTERNAL_NAME}"')
    if not external and spec.get("externalName"):
        found.append(f'spec.externalName is ignored when spec.type is not "{EXTERNAL_NAME}"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found
