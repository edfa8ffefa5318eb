"""Nodes with special hardware may be tainted with its name; pods that ask for it are welcome. Off unless asked for."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core.pod import containers, resources
from kubarium.apimachinery.object import Object, spec_of


class ExtendedResourceToleration(AdmissionPlugin):
    """Adds a toleration for each extended resource that a pod asks for."""

    name = "ExtendedResourceToleration"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    async def admit(self, attributes: Attributes) -> None:
        """Add what is missing."""
        if attributes.subresource:
            return
        spec = spec_of(attributes.new)
        tolerations: list[Object] = list(spec.get("tolerations") or ())
        for name in sorted(_extended(attributes.new)):
            wanted = {"key": name, "operator": "Exists", "effect": "NoSchedule"}
            if wanted not in tolerations:
                tolerations.append(wanted)
        if tolerations:
            spec["tolerations"] = tolerations


def _extended(pod: Object) -> set[str]:
    return {
        name
        for container in containers.all_containers(pod)
        for name in (container.get("resources") or {}).get("requests") or ()
        if resources.is_extended(name)
    }
