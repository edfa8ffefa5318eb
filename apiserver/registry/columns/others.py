"""Networking, storage, access, admission, flow control."""

from __future__ import annotations

from apiserver.registry.columns.shared import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNKNOWN,
    cell,
    joined,
    number,
    read,
    text,
)
from apiserver.registry.columns.shared import shown_selector as selector
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, spec_of, status_of


def _hosts(ingress: Object) -> str:
    hosts = [rule["host"] for rule in spec_of(ingress).get("rules") or [] if rule.get("host")]
    shown = joined(hosts[:3], "*")
    return shown + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")


def _balanced(obj: Object) -> str:
    ingress = read(obj, "status", "loadBalancer", "ingress", default=[]) or []
    return ",".join(each.get("ip") or each.get("hostname") or "" for each in ingress)


INGRESS = (
    NAME,
    text("Class", "spec", "ingressClassName", default=NONE),
    cell("Hosts", _hosts),
    cell("Address", _balanced),
    cell("Ports", lambda obj: "80, 443" if spec_of(obj).get("tls") else "80"),
    AGE,
)


def _parameters(ingress_class: Object) -> str:
    parameters = spec_of(ingress_class).get("parameters")
    if not parameters:
        return NONE
    group = parameters.get("apiGroup")
    return f"{parameters.get('kind')}{'.' + group if group else ''}/{parameters.get('name')}"


INGRESS_CLASS = (NAME, text("Controller", "spec", "controller"), cell("Parameters", _parameters), AGE)
NETWORK_POLICY = (NAME, cell("Pod-Selector", lambda obj: selector(spec_of(obj).get("podSelector"))), AGE)
SERVICE_CIDR = (NAME, cell("CIDRs", lambda obj: ",".join(spec_of(obj).get("cidrs") or [])), AGE)


def _parent(address: Object) -> str:
    parent = spec_of(address).get("parentRef") or {}
    parts = [parent.get("resource"), parent.get("group"), parent.get("namespace"), parent.get("name")]
    head = ".".join(part for part in parts[:2] if part)
    return "/".join(part for part in [head, *parts[2:]] if part)


IP_ADDRESS = (NAME, cell("ParentRef", _parent), AGE)


def _slice_ports(slice_: Object) -> str:
    ports = [str(port.get("port") or "*") for port in slice_.get("ports") or []]
    return joined(ports[:3], "<unset>") + (f" + {len(ports) - 3} more..." if len(ports) > 3 else "")


def _slice_endpoints(slice_: Object) -> str:
    found = [address for each in slice_.get("endpoints") or [] for address in each.get("addresses") or []]
    return joined(found[:3], "<unset>") + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


ENDPOINT_SLICE = (
    NAME,
    text("AddressType", "addressType"),
    cell("Ports", _slice_ports),
    cell("Endpoints", _slice_endpoints),
    AGE,
)

STORAGE_CLASS = (
    NAME,
    text("Provisioner", "provisioner"),
    text("ReclaimPolicy", "reclaimPolicy", default="Delete"),
    text("VolumeBindingMode", "volumeBindingMode", default="Immediate"),
    text("AllowVolumeExpansion", "allowVolumeExpansion", default=False),
    AGE,
)


def _marked_default(obj: Object) -> str:
    annotations = read(obj, "metadata", "annotations", default={})
    name: str = obj["metadata"]["name"]
    return (
        f"{name} (default)"
        if annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
        else name
    )


STORAGE_CLASS = (cell("Name", _marked_default), *STORAGE_CLASS[1:])
CSI_DRIVER = (
    NAME,
    text("AttachRequired", "spec", "attachRequired", default=True),
    text("PodInfoOnMount", "spec", "podInfoOnMount", default=False),
    text("StorageCapacity", "spec", "storageCapacity", default=False),
    cell(
        "TokenRequests",
        lambda obj: joined(
            (t.get("audience") or "" for t in spec_of(obj).get("tokenRequests") or []), "<unset>"
        ),
    ),
    text("RequiresRepublish", "spec", "requiresRepublish", default=False),
    cell("Modes", lambda obj: joined(spec_of(obj).get("volumeLifecycleModes") or [])),
    AGE,
)
CSI_NODE = (NAME, cell("Drivers", lambda obj: len(spec_of(obj).get("drivers") or []), type="integer"), AGE)
CSI_STORAGE_CAPACITY = (
    NAME,
    text("StorageClassName", "storageClassName"),
    text("Capacity", "capacity", default="<unset>"),
)
VOLUME_ATTACHMENT = (
    NAME,
    text("Attacher", "spec", "attacher"),
    text("PV", "spec", "source", "persistentVolumeName"),
    text("Node", "spec", "nodeName"),
    text("Attached", "status", "attached", default=False),
    AGE,
)

PRIORITY_CLASS = (
    NAME,
    number("Value", "value"),
    text("Global-Default", "globalDefault", default=False),
    AGE,
    text("PreemptionPolicy", "preemptionPolicy"),
)
RUNTIME_CLASS = (NAME, text("Handler", "handler"), AGE)
LEASE = (NAME, text("Holder", "spec", "holderIdentity"), AGE)


def _subjects(binding: Object, kind: str) -> str:
    found = [subject for subject in binding.get("subjects") or [] if subject.get("kind") == kind]
    names = [f"{s['namespace']}/{s['name']}" if kind == "ServiceAccount" else s["name"] for s in found]
    return ", ".join(names)


def _role(binding: Object) -> str:
    return f"{read(binding, 'roleRef', 'kind')}/{read(binding, 'roleRef', 'name')}"


ROLE = (NAME, CREATED_AT)
ROLE_BINDING = (
    NAME,
    cell("Role", _role),
    AGE,
    cell("Users", lambda obj: _subjects(obj, "User"), wide=True),
    cell("Groups", lambda obj: _subjects(obj, "Group"), wide=True),
    cell("ServiceAccounts", lambda obj: _subjects(obj, "ServiceAccount"), wide=True),
)


def _csr_condition(request: Object) -> str:
    """Approved, Denied, Failed and Issued, or Pending."""
    types = [condition.get("type") for condition in status_of(request).get("conditions") or []]
    words = [word for word in ("Approved", "Denied", "Failed") if word in types][:1] or ["Pending"]
    if "Failed" in types and words[0] != "Failed":
        words.append("Failed")
    if status_of(request).get("certificate"):
        words.append("Issued")
    return ",".join(words)


def _requested_duration(request: Object) -> str:
    seconds = spec_of(request).get("expirationSeconds")
    if seconds is None:
        return NONE
    return (
        f"{seconds // 86400}d"
        if seconds % 86400 == 0
        else f"{seconds // 3600}h"
        if seconds % 3600 == 0
        else f"{seconds}s"
    )


SIGNING_REQUEST = (
    NAME,
    AGE,
    text("SignerName", "spec", "signerName", default=NONE),
    text("Requestor", "spec", "username"),
    cell("RequestedDuration", _requested_duration),
    cell("Condition", _csr_condition),
)

WEBHOOKS = (NAME, cell("Webhooks", lambda obj: len(obj.get("webhooks") or []), type="integer"), AGE)


def _param_kind(policy: Object) -> str:
    kind = spec_of(policy).get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


POLICY = (
    NAME,
    cell("Validations", lambda obj: len(spec_of(obj).get("validations") or []), type="integer"),
    cell("ParamKind", _param_kind),
    AGE,
)
MUTATING_POLICY = (
    NAME,
    cell("Mutations", lambda obj: len(spec_of(obj).get("mutations") or []), type="integer"),
    cell("ParamKind", _param_kind),
    AGE,
)


def _param_ref(binding: Object) -> str:
    reference = spec_of(binding).get("paramRef")
    if not reference:
        return "<unset>"
    if reference.get("name"):
        return (
            f"{reference['namespace']}/{reference['name']}"
            if reference.get("namespace")
            else str(reference["name"])
        )
    return selector(reference.get("selector"))


POLICY_BINDING = (NAME, text("PolicyName", "spec", "policyName"), cell("ParamRef", _param_ref), AGE)
DEFINITION = (NAME, CREATED_AT)


def _service_of(api_service: Object) -> str:
    service = spec_of(api_service).get("service")
    return f"{service.get('namespace')}/{service.get('name')}" if service else "Local"


def _available(api_service: Object) -> str:
    condition = conditions.find(status_of(api_service).get("conditions"), "Available")
    if condition is None:
        return UNKNOWN
    if condition.get("status") == "True":
        return "True"
    return f"{condition.get('status')} ({condition.get('reason')})"


API_SERVICE = (NAME, cell("Service", _service_of), cell("Available", _available), AGE)


def _missing_level(schema: Object) -> str:
    condition = conditions.find(status_of(schema).get("conditions"), "Dangling")
    return str(condition.get("status")) if condition is not None else "?"


FLOW_SCHEMA = (
    NAME,
    text("PriorityLevel", "spec", "priorityLevelConfiguration", "name"),
    number("MatchingPrecedence", "spec", "matchingPrecedence"),
    text("DistinguisherMethod", "spec", "distinguisherMethod", "type", default=NONE),
    AGE,
    cell("MissingPL", _missing_level),
)
_QUEUING = ("spec", "limited", "limitResponse", "queuing")
PRIORITY_LEVEL = (
    NAME,
    text("Type", "spec", "type"),
    text("NominalConcurrencyShares", "spec", "limited", "nominalConcurrencyShares", default=NONE),
    text("Queues", *_QUEUING, "queues", default=NONE),
    text("HandSize", *_QUEUING, "handSize", default=NONE),
    text("QueueLengthLimit", *_QUEUING, "queueLengthLimit", default=NONE),
    AGE,
)
RESOURCE_CLAIM = (
    NAME,
    cell(
        "State",
        lambda obj: (
            "allocated,reserved"
            if status_of(obj).get("reservedFor")
            else "allocated"
            if status_of(obj).get("allocation")
            else "pending"
        ),
    ),
    AGE,
)
RESOURCE_SLICE = (
    NAME,
    text("Node", "spec", "nodeName"),
    text("Driver", "spec", "driver"),
    text("Pool", "spec", "pool", "name"),
    AGE,
)
PLAIN = (NAME, AGE)
