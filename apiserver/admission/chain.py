"""The ordered list of plugins: all may change the object, then all may refuse it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from apiserver.admission.expressions import Decide, Expressions
from apiserver.admission.plugin import Admission, AdmissionPlugin, Attributes
from apiserver.admission.plugins.always_pull_images import AlwaysPullImages
from apiserver.admission.plugins.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from apiserver.admission.plugins.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.plugins.default_ingress_class import DefaultIngressClass
from apiserver.admission.plugins.default_storage_class import DefaultStorageClass
from apiserver.admission.plugins.default_tolerations import DefaultTolerationSeconds
from apiserver.admission.plugins.escalation import RoleEscalation
from apiserver.admission.plugins.limit_ranger import LimitRanger
from apiserver.admission.plugins.mutating_policies import MutatingAdmissionPolicy, SchemaOf
from apiserver.admission.plugins.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.plugins.node_restriction import NodeRestriction
from apiserver.admission.plugins.owner_references import OwnerReferencesPermissionEnforcement
from apiserver.admission.plugins.pod_security import PodSecurity
from apiserver.admission.plugins.pod_topology_labels import PodTopologyLabels
from apiserver.admission.plugins.priority import Priority
from apiserver.admission.plugins.resource_quota import ResourceQuota
from apiserver.admission.plugins.runtime_class import RuntimeClass
from apiserver.admission.plugins.service_account import ServiceAccount
from apiserver.admission.plugins.storage_protection import StorageObjectInUseProtection
from apiserver.admission.plugins.taint_nodes import TaintNodesByCondition
from apiserver.admission.plugins.validating_policies import ValidatingAdmissionPolicy
from apiserver.admission.plugins.webhooks import MutatingAdmissionWebhook, ValidatingAdmissionWebhook
from apiserver.admission.policy_matching import PluralOf, Policies
from apiserver.admission.webhook_client import WebhookClient
from apiserver.request import RequestContext, RequestInfo, User
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

May = Callable[[User, RequestInfo], Awaitable[bool]]
"""May this user do that? Asked by plugins that refuse what RBAC alone cannot see."""


class RoleGuard(Protocol):
    """Refuses roles and bindings that give away more than their writer has."""

    async def check_role(self, context: RequestContext, role: Object) -> None:
        """Raises Forbidden."""
        ...

    async def check_binding(self, context: RequestContext, binding: Object) -> None:
        """Raises Forbidden."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What plugins may use."""

    client: Client
    informers: Informers
    clock: Clock
    may: May
    decide: Decide
    role_guard: RoleGuard | None
    webhooks: WebhookClient
    plural_of: PluralOf
    schema_of: SchemaOf


def plugins(of: Surroundings) -> list[AdmissionPlugin]:
    """All plugins, in the order in which they are asked."""
    expressions = Expressions()
    return [
        NamespaceLifecycle(of.client, of.informers, of.clock),
        LimitRanger(of.client, of.informers),
        ServiceAccount(of.client, of.informers, of.clock),
        NodeRestriction(of.client),
        TaintNodesByCondition(),
        AlwaysPullImages(),
        PodSecurity(of.client, of.informers),
        Priority(of.client, of.informers),
        DefaultTolerationSeconds(),
        DefaultStorageClass(of.informers),
        StorageObjectInUseProtection(),
        OwnerReferencesPermissionEnforcement(of.may),
        PersistentVolumeClaimResize(of.informers),
        RuntimeClass(of.client, of.informers),
        CertificateApproval(of.may),
        CertificateSigning(of.may),
        CertificateSubjectRestriction(),
        DefaultIngressClass(of.informers),
        PodTopologyLabels(of.informers),
        RoleEscalation(of.role_guard),
        MutatingAdmissionPolicy(_policies(of, "mutating"), expressions, of.decide, of.schema_of),
        MutatingAdmissionWebhook(of.informers, of.webhooks, expressions, of.decide),
        ValidatingAdmissionPolicy(_policies(of, "validating"), expressions, of.decide),
        ValidatingAdmissionWebhook(of.informers, of.webhooks, expressions, of.decide),
        ResourceQuota(of.client, of.informers),
    ]


def _policies(of: Surroundings, sort: str) -> Policies:
    policies, bindings = f"{sort}admissionpolicies", f"{sort}admissionpolicybindings"
    return Policies(
        of.client, of.informers, policies, bindings, of.webhooks.versions, of.plural_of, of.webhooks.convert
    )


OFF_BY_DEFAULT = frozenset({"NodeRestriction", "AlwaysPullImages", "OwnerReferencesPermissionEnforcement"})
"""What `--enable-admission-plugins` must name to have."""


def build(of: Surroundings, enable: Sequence[str] = (), disable: Sequence[str] = ()) -> Chain:
    """The chain of the wanted plugins. Raises ValueError for names that nothing has."""
    found = plugins(of)
    unknown = {*enable, *disable} - {plugin.name for plugin in found} - _NOT_NEEDED
    if unknown:
        raise ValueError(f"unknown admission plugins: {', '.join(sorted(unknown))}")
    off = (OFF_BY_DEFAULT - set(enable)) | set(disable)
    return Chain([plugin for plugin in found if plugin.name not in off])


_NOT_NEEDED = frozenset(
    {"AlwaysAdmit", "ClusterTrustBundleAttest", "NamespaceExists", "NamespaceAutoProvision"}
)  # fmt: skip
"""Names that upstream knows and command lines may carry."""

_Hooks = tuple[Callable[[Attributes], Awaitable[None]], ...]


class Chain(Admission):
    """Asks each plugin that wants to be asked about an operation on a resource."""

    def __init__(self, found: Sequence[AdmissionPlugin]) -> None:
        self._plugins = tuple(found)
        self._admitting: dict[tuple[str, str, str], _Hooks] = {}
        self._validating: dict[tuple[str, str, str], _Hooks] = {}

    async def admit(self, attributes: Attributes) -> None:
        """All mutating plugins, in order; once more if a webhook changed what earlier ones had seen."""
        hooks = self._hooks(self._admitting, "admit", attributes)
        for hook in hooks:
            await hook(attributes)
        if attributes.changed_by_webhook:
            attributes.changed_by_webhook = False
            for hook in hooks:
                await hook(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """All validating plugins, in order."""
        for hook in self._hooks(self._validating, "validate", attributes):
            await hook(attributes)

    def _hooks(self, known: dict[tuple[str, str, str], _Hooks], name: str, attributes: Attributes) -> _Hooks:
        resource = attributes.resource
        key = (attributes.operation, resource.group, resource.resource)
        found = known.get(key)
        if found is None:
            found = known[key] = tuple(
                getattr(plugin, name)
                for plugin in self._plugins
                if attributes.operation in plugin.operations
                and (plugin.resources is None or key[1:] in plugin.resources)
                and getattr(type(plugin), name) is not getattr(AdmissionPlugin, name)
            )
        return found
