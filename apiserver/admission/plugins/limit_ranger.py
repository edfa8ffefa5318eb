"""A namespace's LimitRanges give pods their default amounts, and refuse too little and too much."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core import limit_checks
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.rest import Client


class LimitRanger(AdmissionPlugin):
    """Looks at new pods and claims, and at resized pods."""

    name = "LimitRanger"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods"), ("", "persistentvolumeclaims")})

    def __init__(self, client: Client, informers: Informers) -> None:
        self._informer = informers.informer("v1", "limitranges")
        self._live = client.resource("v1", "limitranges")

    async def admit(self, attributes: Attributes) -> None:
        """Fill in what pods leave out."""
        if not _concerns(attributes) or attributes.resource.resource != "pods" or attributes.subresource:
            return
        for limit_range in await self._limits(attributes.namespace):
            limit_checks.fill_pod(attributes.new, limit_range)

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what breaks a limit."""
        if not _concerns(attributes):
            return
        is_pod = attributes.resource.resource == "pods"
        problems_of = limit_checks.pod_problems if is_pod else limit_checks.claim_problems
        for limit_range in await self._limits(attributes.namespace):
            found = list(dict.fromkeys(problems_of(attributes.new, limit_range)))
            if found:
                raise attributes.forbidden(found[0] if len(found) == 1 else f"[{', '.join(found)}]")

    async def _limits(self, namespace: str) -> list[Object]:
        if self._informer.has_synced:
            return self._informer.lister.list(namespace)
        listed: list[Object] = (await self._live.list(namespace))["items"]
        return listed


def _concerns(attributes: Attributes) -> bool:
    """Amounts are given at creation; a pod's change only by `resize`."""
    if attributes.subresource:
        return attributes.is_for("", "pods", subresource="resize")
    return attributes.operation == CREATE or attributes.resource.resource != "pods"
