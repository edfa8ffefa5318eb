"""New nodes start tainted: no pods before the node has said that it is ready."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(AdmissionPlugin):
    """Adds the taint not-ready:NoSchedule to nodes as they are made."""

    name = "TaintNodesByCondition"
    operations = frozenset({CREATE})
    resources = frozenset({("", "nodes")})

    async def admit(self, attributes: Attributes) -> None:
        """Add the taint unless it is there."""
        if attributes.subresource:
            return
        spec = attributes.new.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(
            taint.get("key") == _NOT_READY["key"] and taint.get("effect") == "NoSchedule" for taint in taints
        ):
            spec["taints"] = [*taints, dict(_NOT_READY)]
