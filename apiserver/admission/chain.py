"""The ordered list of plugins: all may change the object, then all may refuse it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apiserver.admission.expressions import Decide, Expressions
from apiserver.admission.metrics import ADMIT, PLUGINS, STEPS, VALIDATE
from apiserver.admission.namespaces import Namespaces
from apiserver.admission.plugin import Admission, AdmissionPlugin, Attributes
from apiserver.admission.plugins.always import AlwaysAdmit, AlwaysDeny
from apiserver.admission.plugins.always_pull_images import AlwaysPullImages
from apiserver.admission.plugins.anti_affinity import LimitPodHardAntiAffinityTopology
from apiserver.admission.plugins.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from apiserver.admission.plugins.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.plugins.default_ingress_class import DefaultIngressClass
from apiserver.admission.plugins.default_storage_class import DefaultStorageClass
from apiserver.admission.plugins.default_tolerations import SECONDS, DefaultTolerationSeconds
from apiserver.admission.plugins.device_claims import DeviceClaims
from apiserver.admission.plugins.escalation import RoleEscalation
from apiserver.admission.plugins.event_rate_limit import EventRateLimit
from apiserver.admission.plugins.extended_resource_toleration import ExtendedResourceToleration
from apiserver.admission.plugins.external_ips import DenyServiceExternalIPs
from apiserver.admission.plugins.image_policy import ImagePolicyWebhook
from apiserver.admission.plugins.limit_ranger import LimitRanger
from apiserver.admission.plugins.mutating_policies import MutatingAdmissionPolicy, SchemaOf
from apiserver.admission.plugins.namespace_exists import NamespaceAutoProvision, NamespaceExists
from apiserver.admission.plugins.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.plugins.node_restriction import NodeRestriction
from apiserver.admission.plugins.owner_references import OwnerReferencesPermissionEnforcement
from apiserver.admission.plugins.pod_node_selector import PodNodeSelector
from apiserver.admission.plugins.pod_resize import PodResize
from apiserver.admission.plugins.pod_security import PodSecurity
from apiserver.admission.plugins.pod_toleration_restriction import PodTolerationRestriction
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
from apiserver.configuration import ConfigurationError
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
    configuration: Mapping[str, Object] = field(default_factory=dict)
    toleration_seconds: tuple[int, int] = (SECONDS, SECONDS)  # of nodes that are not ready, and unreachable

    def configured(self, plugin: str) -> Object | None:
        """What the configuration file says to a plugin."""
        return self.configuration.get(plugin)


Wanted = Callable[[str], bool]
"""Is a plugin of this name wanted?"""


def plugins(of: Surroundings, wanted: Wanted) -> list[AdmissionPlugin]:
    """Those that are wanted, in the order in which they are asked."""
    expressions = Expressions()
    reviews = (of.informers, Namespaces(of.client, of.informers), of.webhooks, expressions, of.decide)
    mutating, validating = _policies(of, "mutating"), _policies(of, "validating")
    everything: list[tuple[str, Callable[[], AdmissionPlugin]]] = [
        ("AlwaysAdmit", AlwaysAdmit),
        ("NamespaceAutoProvision", lambda: NamespaceAutoProvision(of.client, of.informers)),
        ("NamespaceLifecycle", lambda: NamespaceLifecycle(of.client, of.informers, of.clock)),
        ("NamespaceExists", lambda: NamespaceExists(of.client, of.informers)),
        ("LimitPodHardAntiAffinityTopology", LimitPodHardAntiAffinityTopology),
        ("LimitRanger", lambda: LimitRanger(of.client, of.informers, of.clock)),
        ("ServiceAccount", lambda: ServiceAccount(of.client, of.informers, of.clock)),
        ("NodeRestriction", lambda: NodeRestriction(of.client, of.may)),
        ("TaintNodesByCondition", TaintNodesByCondition),
        ("AlwaysPullImages", AlwaysPullImages),
        ("ImagePolicyWebhook", lambda: ImagePolicyWebhook(of.clock, of.configured("ImagePolicyWebhook"))),
        ("PodSecurity", lambda: PodSecurity(of.client, of.informers, of.configured("PodSecurity"))),
        (
            "PodNodeSelector",
            lambda: PodNodeSelector(of.client, of.informers, of.configured("PodNodeSelector")),
        ),
        ("Priority", lambda: Priority(of.client, of.informers)),
        ("DefaultTolerationSeconds", lambda: DefaultTolerationSeconds(*of.toleration_seconds)),
        (
            "PodTolerationRestriction",
            lambda: PodTolerationRestriction(
                of.client, of.informers, of.configured("PodTolerationRestriction")
            ),
        ),
        ("EventRateLimit", lambda: EventRateLimit(of.clock, of.configured("EventRateLimit"))),
        ("ExtendedResourceToleration", ExtendedResourceToleration),
        ("DefaultStorageClass", lambda: DefaultStorageClass(of.informers)),
        ("StorageObjectInUseProtection", StorageObjectInUseProtection),
        ("OwnerReferencesPermissionEnforcement", lambda: OwnerReferencesPermissionEnforcement(of.may)),
        ("PersistentVolumeClaimResize", lambda: PersistentVolumeClaimResize(of.informers)),
        ("RuntimeClass", lambda: RuntimeClass(of.client, of.informers)),
        ("CertificateApproval", lambda: CertificateApproval(of.may)),
        ("CertificateSigning", lambda: CertificateSigning(of.may)),
        ("CertificateSubjectRestriction", CertificateSubjectRestriction),
        ("DefaultIngressClass", lambda: DefaultIngressClass(of.informers)),
        ("DenyServiceExternalIPs", DenyServiceExternalIPs),
        ("PodTopologyLabels", lambda: PodTopologyLabels(of.informers)),
        ("PodResize", lambda: PodResize(of.client)),
        (ESCALATION, lambda: RoleEscalation(of.role_guard)),
        (DEVICES, lambda: DeviceClaims(of.client, of.may)),
        (
            "MutatingAdmissionPolicy",
            lambda: MutatingAdmissionPolicy(mutating, expressions, of.decide, of.schema_of),
        ),
        ("MutatingAdmissionWebhook", lambda: MutatingAdmissionWebhook(*reviews)),
        (
            "ValidatingAdmissionPolicy",
            lambda: ValidatingAdmissionPolicy(validating, expressions, of.decide),
        ),
        ("ValidatingAdmissionWebhook", lambda: ValidatingAdmissionWebhook(*reviews)),
        (
            "ResourceQuota",
            lambda: ResourceQuota(of.client, of.informers, of.clock, of.configured("ResourceQuota")),
        ),
        ("AlwaysDeny", AlwaysDeny),
    ]
    return [make() for name, make in everything if wanted(name)]


def _policies(of: Surroundings, sort: str) -> Policies:
    policies, bindings = f"{sort}admissionpolicies", f"{sort}admissionpolicybindings"
    namespaces, webhooks = Namespaces(of.client, of.informers), of.webhooks
    return Policies(
        of.client,
        of.informers,
        namespaces,
        policies,
        bindings,
        webhooks.versions,
        of.plural_of,
        webhooks.convert,
    )


ESCALATION, DEVICES = "RoleEscalation", "DeviceClaims"
"""Not plugins upstream, where they belong to the resources themselves: nobody can switch them off."""

ON_BY_DEFAULT = frozenset(
    {"NamespaceLifecycle", "LimitRanger", "ServiceAccount", "DefaultStorageClass", "PersistentVolumeClaimResize",
     "DefaultTolerationSeconds", "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook", "ResourceQuota",
     "StorageObjectInUseProtection", "Priority", "TaintNodesByCondition", "RuntimeClass", "CertificateApproval",
     "CertificateSigning", "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass",
     "PodSecurity", "PodTopologyLabels", "MutatingAdmissionPolicy", "ValidatingAdmissionPolicy",
     "NodeDeclaredFeatureValidator", "PodGroupWorkloadExists", "PodResize"}
)  # fmt: skip
OFF_BY_DEFAULT = frozenset(
    {"AlwaysAdmit", "NamespaceAutoProvision", "NamespaceExists", "LimitPodHardAntiAffinityTopology",
     "NodeRestriction", "AlwaysPullImages", "ImagePolicyWebhook", "PodNodeSelector", "PodTolerationRestriction",
     "EventRateLimit", "ExtendedResourceToleration", "OwnerReferencesPermissionEnforcement",
     "DenyServiceExternalIPs", "AlwaysDeny"}
)  # fmt: skip
"""Upstream's names: those of the first set that stand in no line above watch over kinds that are not served."""


def build(of: Surroundings, enable: Sequence[str] = (), disable: Sequence[str] = ()) -> Chain:
    """The chain of the wanted plugins. Raises ConfigurationError."""
    for flag, names in (("enable", enable), ("disable", disable)):
        unknown = [name for name in names if name not in ON_BY_DEFAULT | OFF_BY_DEFAULT]
        if unknown:
            raise ConfigurationError(f'{flag}-admission-plugins plugin "{unknown[0]}" is unknown')
    both = [name for name in enable if name in disable]
    if both:
        shown = " ".join(both)
        raise ConfigurationError(
            f"[{shown}] in enable-admission-plugins and disable-admission-plugins overlapped"
        )
    on = (ON_BY_DEFAULT | set(enable) | {ESCALATION, DEVICES}) - set(disable)
    return Chain(plugins(of, on.__contains__))


_Hooks = tuple[tuple[str, Callable[[Attributes], Awaitable[None]]], ...]


class Chain(Admission):
    """Asks each plugin that wants to be asked about an operation on a resource."""

    def __init__(self, found: Sequence[AdmissionPlugin]) -> None:
        self._plugins = tuple(found)
        self._admitting: dict[tuple[str, str, str], _Hooks] = {}
        self._validating: dict[tuple[str, str, str], _Hooks] = {}

    async def admit(self, attributes: Attributes) -> None:
        """All mutating plugins, in order; once more if a webhook changed what earlier ones had seen."""
        hooks = self._hooks(self._admitting, ADMIT, attributes)
        await _ask(hooks, ADMIT, attributes)
        if attributes.changed_by_webhook:
            attributes.changed_by_webhook = False
            await _ask(hooks, ADMIT, attributes)

    async def validate(self, attributes: Attributes) -> None:
        """All validating plugins, in order."""
        await _ask(self._hooks(self._validating, VALIDATE, attributes), VALIDATE, attributes)

    def _hooks(self, known: dict[tuple[str, str, str], _Hooks], name: str, attributes: Attributes) -> _Hooks:
        resource = attributes.resource
        key = (attributes.operation, resource.group, resource.resource)
        found = known.get(key)
        if found is None:
            found = known[key] = tuple(
                (plugin.name, getattr(plugin, name))
                for plugin in self._plugins
                if attributes.operation in plugin.operations
                and (plugin.resources is None or key[1:] in plugin.resources)
                and getattr(type(plugin), name) is not getattr(AdmissionPlugin, name)
            )
        return found


async def _ask(hooks: _Hooks, step: str, attributes: Attributes) -> None:
    """One after another, with a look at the clock in between."""
    operation, name, rejected = attributes.operation, "", "true"
    began = before = time.perf_counter()
    try:
        for name, hook in hooks:
            await hook(attributes)
            now = time.perf_counter()
            PLUGINS.observe((name, step, operation, "false"), now - before)
            before = now
        rejected = "false"
    finally:
        now = time.perf_counter()
        if rejected == "true":
            PLUGINS.observe((name, step, operation, rejected), now - before)
        STEPS.observe((step, operation, rejected), now - began)
