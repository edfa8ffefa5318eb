"""Access, admission, flow control, devices."""

from __future__ import annotations

from apiserver.registry.columns.shared import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNSET,
    cell,
    number,
    read,
    text,
)
from apiserver.registry.strategy import Column
from kubarium.apimachinery import conditions, labels
from kubarium.apimachinery.object import Object, is_deleting, name_of, spec_of, status_of
from kubarium.apimachinery.time import human_duration

_PRIORITY = "scheduling.v1.PriorityClass"
PRIORITY_CLASS = (
    NAME,
    number("Value", "value", about=f"{_PRIORITY}.value"),
    text(
        "Global-Default", "globalDefault", default=False, type="boolean", about=f"{_PRIORITY}.globalDefault"
    ),
    AGE,
    text("PreemptionPolicy", "preemptionPolicy", about=f"{_PRIORITY}.preemptionPolicy"),
)
RUNTIME_CLASS = (NAME, text("Handler", "handler"), AGE)
LEASE = (
    NAME,
    text("Holder", "spec", "holderIdentity", about="coordination.v1.LeaseSpec.holderIdentity"),
    AGE,
)


def _subjects(binding: Object, kind: str) -> str:
    found = [subject for subject in binding.get("subjects") or [] if subject.get("kind") == kind]
    names = [f"{s['namespace']}/{s['name']}" if kind == "ServiceAccount" else s["name"] for s in found]
    return ", ".join(names)


def _role(binding: Object) -> str:
    return f"{read(binding, 'roleRef', 'kind')}/{read(binding, 'roleRef', 'name')}"


def _binding(kind: str) -> tuple[Column, ...]:
    name = f"{kind[0].lower()}{kind[1:]}"
    return (
        NAME,
        cell("Role", _role, about=f"rbac.v1.{kind}.roleRef"),
        AGE,
        cell("Users", lambda obj: _subjects(obj, "User"), f"Users in the {name}", wide=True),
        cell("Groups", lambda obj: _subjects(obj, "Group"), f"Groups in the {name}", wide=True),
        cell(
            "ServiceAccounts",
            lambda obj: _subjects(obj, "ServiceAccount"),
            f"ServiceAccounts in the {name}",
            wide=True,
        ),
    )


ROLE = (NAME, CREATED_AT)
ROLE_BINDING = _binding("RoleBinding")
CLUSTER_ROLE_BINDING = _binding("ClusterRoleBinding")


def _csr_condition(request: Object) -> str:
    """Denied, Approved or Pending; whether that failed, and whether there is a certificate."""
    types = [condition.get("type") for condition in status_of(request).get("conditions") or []]
    words = [next((word for word in ("Denied", "Approved") if word in types), "Pending")]
    if "Failed" in types:
        words.append("Failed")
    if status_of(request).get("certificate"):
        words.append("Issued")
    return ",".join(words)


def _requested_duration(request: Object) -> str:
    seconds = spec_of(request).get("expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


_REQUEST = "certificates.v1.CertificateSigningRequest"
_SIGNER_TEXT = """Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. \
If empty, it will be defaulted:
 1. If it's a kubelet client certificate, it is assigned
    "kubernetes.io/kube-apiserver-client-kubelet".
 2. If it's a kubelet serving certificate, it is assigned
    "kubernetes.io/kubelet-serving".
 3. Otherwise, it is assigned "kubernetes.io/legacy-unknown".
Distribution of trust for signers happens out of band. You can select on this field using `spec.signerName`."""
"""The columns still have the words of v1beta1."""
SIGNING_REQUEST = (
    NAME,
    AGE,
    Column(
        "SignerName",
        lambda obj: read(obj, "spec", "signerName", default=NONE),
        description=_SIGNER_TEXT,
    ),
    cell("Requestor", lambda obj: read(obj, "spec", "username"), "Base64-encoded PKCS#10 CSR data"),
    cell("RequestedDuration", _requested_duration, about=f"{_REQUEST}Spec.expirationSeconds"),
    cell("Condition", _csr_condition, "Conditions applied to the request, such as approval or denial."),
)

WEBHOOKS = (
    NAME,
    cell(
        "Webhooks",
        lambda obj: len(obj.get("webhooks") or []),
        "Webhooks indicates the number of webhooks registered in this configuration",
        type="integer",
    ),
    AGE,
)


def _param_kind(policy: Object) -> str:
    kind = spec_of(policy).get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


_KIND_TEXT = "ParamKind specifies the kind of resources used to parameterize this policy"
POLICY = (
    NAME,
    cell(
        "Validations",
        lambda obj: len(spec_of(obj).get("validations") or []),
        "Validations indicates the number of validation rules defined in this configuration",
        type="integer",
    ),
    cell("ParamKind", _param_kind, _KIND_TEXT),
    AGE,
)
MUTATING_POLICY = (
    NAME,
    cell(
        "Mutations",
        lambda obj: len(spec_of(obj).get("mutations") or []),
        "Mutation indicates the number of mutations rules defined in this configuration",
        type="integer",
    ),
    cell("ParamKind", _param_kind, _KIND_TEXT),
    AGE,
)


def _param_ref(binding: Object) -> str:
    reference = spec_of(binding).get("paramRef") or {}
    if reference.get("name"):
        return f"{reference.get('namespace') or '*'}/{reference['name']}"
    return labels.in_go(reference["selector"]) if reference.get("selector") is not None else UNSET


POLICY_BINDING = (
    NAME,
    cell(
        "PolicyName",
        lambda obj: read(obj, "spec", "policyName"),
        "PolicyName indicates the policy definition which the policy binding binded to",
    ),
    cell("ParamRef", _param_ref, "ParamRef indicates the param resource which sets the configuration param"),
    AGE,
)
DEFINITION = (NAME, CREATED_AT)


def _service_of(api_service: Object) -> str:
    service = spec_of(api_service).get("service")
    return f"{service.get('namespace')}/{service.get('name')}" if service else "Local"


def _available(api_service: Object) -> str:
    condition = conditions.find(status_of(api_service).get("conditions"), "Available") or {}
    status, reason = condition.get("status") or "Unknown", condition.get("reason")
    return f"{status} ({reason})" if reason and status != "True" else str(status)


API_SERVICE = (
    NAME,
    cell("Service", _service_of, "The reference to the service that hosts this API endpoint."),
    cell("Available", _available, "Whether this service is available."),
    AGE,
)


def _missing_level(schema: Object) -> str:
    condition = conditions.find(status_of(schema).get("conditions"), "Dangling")
    return str(condition.get("status")) if condition is not None else "?"


_FLOW = "flowcontrol.v1"
FLOW_SCHEMA = (
    NAME,
    text(
        "PriorityLevel",
        "spec",
        "priorityLevelConfiguration",
        "name",
        about=f"{_FLOW}.PriorityLevelConfigurationReference.name",
    ),
    number(
        "MatchingPrecedence",
        "spec",
        "matchingPrecedence",
        type="string",
        about=f"{_FLOW}.FlowSchemaSpec.matchingPrecedence",
    ),
    text(
        "DistinguisherMethod",
        "spec",
        "distinguisherMethod",
        "type",
        default=NONE,
        about=f"{_FLOW}.FlowSchemaSpec.distinguisherMethod",
    ),
    AGE,
    cell("MissingPL", _missing_level, "references a broken or non-existent PriorityLevelConfiguration"),
)


def by_precedence(schema: Object) -> tuple[int, str]:
    """The order in which flow schemas are listed as rows: that in which they are asked."""
    return spec_of(schema).get("matchingPrecedence") or 0, name_of(schema)


def _queuing(name: str, field: str) -> Column:
    about = f"{_FLOW}.QueuingConfiguration.{field}"
    return text(name, "spec", "limited", "limitResponse", "queuing", field, default=NONE, about=about)


PRIORITY_LEVEL = (
    NAME,
    text("Type", "spec", "type", about=f"{_FLOW}.PriorityLevelConfigurationSpec.type"),
    text(
        "NominalConcurrencyShares",
        "spec",
        "limited",
        "nominalConcurrencyShares",
        default=NONE,
        about=f"{_FLOW}.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
    ),
    _queuing("Queues", "queues"),
    _queuing("HandSize", "handSize"),
    _queuing("QueueLengthLimit", "queueLengthLimit"),
    AGE,
)


def _claim_state(claim: Object) -> str:
    """Such as `allocated,reserved`, `pending` or `deleted,allocated`."""
    words = ["deleted"] if is_deleting(claim) else []
    if not status_of(claim).get("allocation"):
        return ",".join(words) or "pending"
    return ",".join([*words, "allocated"] + ["reserved"] * bool(status_of(claim).get("reservedFor")))


RESOURCE_CLAIM = (
    NAME,
    cell("State", _claim_state, "A summary of the current state (allocated, pending, reserved, etc.)."),
    AGE,
)
RESOURCE_SLICE = (
    NAME,
    text("Node", "spec", "nodeName", about="resource.v1.ResourceSliceSpec.nodeName"),
    text("Driver", "spec", "driver", about="resource.v1.ResourceSliceSpec.driver"),
    text("Pool", "spec", "pool", "name", about="resource.v1.ResourcePool.name"),
    AGE,
)
PLAIN = (NAME, AGE)
