"""A namespace's LimitRanges give pods their default amounts, and refuse too little and too much."""

from __future__ import annotations

from apiserver.admission.namespaces import InNamespace
from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core import limit_checks
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class LimitRanger(AdmissionPlugin):
    """Looks at new pods and claims, and at resized pods."""

    name = "LimitRanger"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods"), ("", "persistentvolumeclaims")})

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._limits = InNamespace(client, informers, clock, "limitranges")

    async def admit(self, attributes: Attributes) -> None:
        """Fill in what pods leave out."""
        if not _concerns(attributes) or attributes.resource.resource != "pods" or attributes.subresource:
            return
        for limit_range in await self._limits.all(attributes.namespace):
            limit_checks.fill_pod(attributes.new, limit_range)

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what breaks a limit."""
        if not _concerns(attributes):
            return
        is_pod = attributes.resource.resource == "pods"
        problems_of = limit_checks.pod_problems if is_pod else limit_checks.claim_problems
        for limit_range in await self._limits.all(attributes.namespace):
            found = list(dict.fromkeys(problems_of(attributes.new, limit_range)))
            if found:
                raise attributes.forbidden(found[0] if len(found) == 1 else f"[{', '.join(found)}]")


def _concerns(attributes: Attributes) -> bool:
    """Amounts are given at creation; a pod's change only by `resize`."""
    if attributes.subresource:
        return attributes.is_for("", "pods", subresource="resize")
    return attributes.operation == CREATE or attributes.resource.resource != "pods"
