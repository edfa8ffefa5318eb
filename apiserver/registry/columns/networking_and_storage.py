"""Networking and storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apiserver.registry.columns.shared import (
    AGE,
    NAME,
    NONE,
    UNSET,
    balancers_of,
    cell,
    joined,
    marked,
    read,
    text,
)
from apiserver.registry.columns.shared import shown_selector as selector
from apiserver.registry.strategy import Column
from kubarium.apimachinery.object import Object, spec_of


def _hosts(ingress: Object) -> str:
    """The first three hosts; of the rest, rules are counted, with a host or without."""
    rules = spec_of(ingress).get("rules") or []
    hosts: list[str] = []
    for rule in rules:
        if len(hosts) == 3:
            return f"{','.join(hosts)} + {len(rules) - 3} more..."
        if rule.get("host"):
            hosts.append(rule["host"])
    return joined(hosts, "*")


INGRESS = (
    NAME,
    cell(
        "Class",
        lambda obj: read(obj, "spec", "ingressClassName", default=NONE),
        "The name of the IngressClass resource that should be used for additional configuration",
    ),
    cell("Hosts", _hosts, "Hosts that incoming requests are matched against before the ingress rule"),
    cell("Address", balancers_of, "Address is a list containing ingress points for the load-balancer"),
    cell(
        "Ports",
        lambda obj: "80, 443" if spec_of(obj).get("tls") else "80",
        "Ports of TLS configurations that open",
    ),
    AGE,
)


def _parameters(ingress_class: Object) -> str:
    parameters = spec_of(ingress_class).get("parameters")
    if not parameters:
        return NONE
    group = parameters.get("apiGroup")
    return f"{parameters.get('kind')}{'.' + group if group else ''}/{parameters.get('name')}"


INGRESS_CLASS = (
    marked("Name", "ingressclass.kubernetes.io/is-default-class"),
    cell(
        "Controller",
        lambda obj: read(obj, "spec", "controller"),
        "Controller that is responsible for handling this class",
    ),
    cell("Parameters", _parameters, "A reference to a resource with additional parameters"),
    AGE,
)
NETWORK_POLICY = (
    NAME,
    cell(
        "Pod-Selector",
        lambda obj: selector(spec_of(obj).get("podSelector")),
        about="networking.v1.NetworkPolicySpec.podSelector",
    ),
    AGE,
)
SERVICE_CIDR = (
    NAME,
    cell(
        "CIDRs",
        lambda obj: ",".join(spec_of(obj).get("cidrs") or []),
        about="networking.v1.ServiceCIDRSpec.cidrs",
    ),
    AGE,
)


def _parent(address: Object) -> str:
    parent = spec_of(address).get("parentRef")
    if not parent:
        return NONE
    group, namespace = parent.get("group"), parent.get("namespace")
    head = f"{parent.get('resource')}{'.' + group if group else ''}".lower()
    return "/".join(part for part in (head, namespace) if part) + f"/{parent.get('name') or ''}"


IP_ADDRESS = (
    NAME,
    cell("ParentRef", _parent, about="networking.v1.IPAddressSpec.parentRef"),
    replace(AGE, has_definition=False),  # upstream fills in an age that no column is defined for
)


def _more(found: Sequence[str]) -> str:
    shown = joined(found[:3], UNSET)
    return shown + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def _slice_ports(slice_: Object) -> str:
    return _more(
        [
            str(port["port"] if port.get("port") is not None else port.get("name", "*"))
            for port in slice_.get("ports") or []
        ]
    )


def _slice_endpoints(slice_: Object) -> str:
    return _more(
        [address for each in slice_.get("endpoints") or [] for address in each.get("addresses") or []]
    )


_SLICE = "discovery.v1.EndpointSlice"
ENDPOINT_SLICE = (
    NAME,
    text("AddressType", "addressType", about=f"{_SLICE}.addressType"),
    cell("Ports", _slice_ports, about=f"{_SLICE}.ports"),
    cell("Endpoints", _slice_endpoints, about=f"{_SLICE}.endpoints"),
    AGE,
)

_CLASS = "storage.v1.StorageClass"
STORAGE_CLASS = (
    marked(
        "Name",
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ),
    text("Provisioner", "provisioner", about=f"{_CLASS}.provisioner"),
    text("ReclaimPolicy", "reclaimPolicy", default="Delete", about=f"{_CLASS}.reclaimPolicy"),
    text("VolumeBindingMode", "volumeBindingMode", default="Immediate", about=f"{_CLASS}.volumeBindingMode"),
    text(
        "AllowVolumeExpansion", "allowVolumeExpansion", default=False, about=f"{_CLASS}.allowVolumeExpansion"
    ),
    AGE,
)
VOLUME_ATTRIBUTES_CLASS = (
    NAME,
    text("DriverName", "driverName", about="storage.v1.VolumeAttributesClass.driverName"),
    AGE,
)


def _audiences(driver: Object) -> str:
    requests = spec_of(driver).get("tokenRequests")
    return UNSET if requests is None else ",".join(request.get("audience") or "" for request in requests)


def _flag(name: str, field: str, default: bool = False) -> Column:
    about = f"storage.v1.CSIDriverSpec.{field}"
    return text(name, "spec", field, default=default, type="boolean", about=about)


CSI_DRIVER = (
    NAME,
    _flag("AttachRequired", "attachRequired", default=True),
    _flag("PodInfoOnMount", "podInfoOnMount"),
    _flag("StorageCapacity", "storageCapacity"),
    cell("TokenRequests", _audiences, about="storage.v1.CSIDriverSpec.tokenRequests"),
    _flag("RequiresRepublish", "requiresRepublish"),
    cell(
        "Modes",
        lambda obj: joined(spec_of(obj).get("volumeLifecycleModes") or []),
        about="storage.v1.CSIDriverSpec.volumeLifecycleModes",
    ),
    AGE,
)
CSI_NODE = (
    NAME,
    cell(
        "Drivers",
        lambda obj: len(spec_of(obj).get("drivers") or []),
        "Drivers indicates the number of CSI drivers registered on the node",
        type="integer",
    ),
    AGE,
)
CSI_STORAGE_CAPACITY = (
    NAME,
    text("StorageClassName", "storageClassName", about="storage.v1.CSIStorageCapacity.storageClassName"),
    text("Capacity", "capacity", default=UNSET, about="storage.v1.CSIStorageCapacity.capacity"),
)
_ATTACHMENT = "storage.v1.VolumeAttachment"
VOLUME_ATTACHMENT = (
    NAME,
    text("Attacher", "spec", "attacher", format="name", about=f"{_ATTACHMENT}Spec.attacher"),
    text("PV", "spec", "source", "persistentVolumeName", about=f"{_ATTACHMENT}Source.persistentVolumeName"),
    text("Node", "spec", "nodeName", about=f"{_ATTACHMENT}Spec.nodeName"),
    text(
        "Attached", "status", "attached", default=False, type="boolean", about=f"{_ATTACHMENT}Status.attached"
    ),
    AGE,
)
