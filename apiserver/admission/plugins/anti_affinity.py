"""Who keeps others away may do so from a node, not from a whole zone. Off unless asked for."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import spec_of

_ALLOWED = "kubernetes.io/hostname"


class LimitPodHardAntiAffinityTopology(AdmissionPlugin):
    """Refuses required anti-affinity over anything larger than a node."""

    name = "LimitPodHardAntiAffinityTopology"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    async def validate(self, attributes: Attributes) -> None:
        """Refuse other topology keys."""
        if attributes.subresource:
            return
        affinity = (spec_of(attributes.new).get("affinity") or {}).get("podAntiAffinity") or {}
        for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            if term.get("topologyKey") != _ALLOWED:
                raise attributes.forbidden(
                    f"affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {term.get('topologyKey')} "
                    f"but only key {_ALLOWED} is allowed"
                )
