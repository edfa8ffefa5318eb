"""Service: a stable name and address for a changing set of pods.

Source: https://kubernetes.io/docs/concepts/services-networking/service/
"""

from __future__ import annotations

from kubarium.apimachinery.object import Object

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
TYPES = (CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
NONE = "None"  # the clusterIP of a headless service
SINGLE, PREFER_DUAL, REQUIRE_DUAL = "SingleStack", "PreferDualStack", "RequireDualStack"
PROTOCOLS = ("SCTP", "TCP", "UDP")
AFFINITY_SECONDS = 10800
MAX_AFFINITY_SECONDS = 86400


def spec_of(service: Object) -> Object:
    """The wish."""
    return service.get("spec") or {}


def type_of(service: Object) -> str:
    """How far the service reaches."""
    return spec_of(service).get("type") or CLUSTER_IP


def ports_of(service: Object) -> list[Object]:
    """The ports."""
    return spec_of(service).get("ports") or []


def is_headless(service: Object) -> bool:
    """Does its name lead to the pods themselves?"""
    return spec_of(service).get("clusterIP") == NONE


def has_cluster_ip(service: Object) -> bool:
    """Does it have an address of its own?"""
    return type_of(service) != EXTERNAL_NAME and spec_of(service).get("clusterIP") not in (None, "", NONE)


def cluster_ips_of(service: Object) -> list[str]:
    """Its addresses, none for headless ones."""
    spec = spec_of(service)
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in found if address and address != NONE]


def needs_node_ports(service: Object) -> bool:
    """Is it to be reached at every node?"""
    kind = type_of(service)
    return kind == NODE_PORT or (
        kind == LOAD_BALANCER and spec_of(service).get("allocateLoadBalancerNodePorts") is not False
    )


def is_externally_accessible(service: Object) -> bool:
    """Are there ways in from outside the cluster?"""
    return type_of(service) in (NODE_PORT, LOAD_BALANCER) or bool(spec_of(service).get("externalIPs"))


def needs_health_check_port(service: Object) -> bool:
    """May a load balancer ask each node whether it has local endpoints?"""
    return type_of(service) == LOAD_BALANCER and spec_of(service).get("externalTrafficPolicy") == "Local"


def fill_defaults(service: Object) -> None:
    """What an absent field means."""
    spec = service.setdefault("spec", {})
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}) or {}
        config.setdefault("clientIP", {}).setdefault("timeoutSeconds", AFFINITY_SECONDS)
        spec["sessionAffinityConfig"] = config
    if not spec.get("type"):
        spec["type"] = CLUSTER_IP
    for port in spec.get("ports") or []:
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port", 0)
    if spec["type"] != EXTERNAL_NAME and not spec.get("internalTrafficPolicy"):
        spec["internalTrafficPolicy"] = "Cluster"
    if is_externally_accessible(service) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] == LOAD_BALANCER and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if spec["type"] == LOAD_BALANCER:
        for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
            if ingress.get("ip") and not ingress.get("ipMode"):
                ingress["ipMode"] = "VIP"
