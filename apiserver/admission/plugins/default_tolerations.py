"""Five minutes of patience with a node that is lost or not ready."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import Object

SECONDS = 300
_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(AdmissionPlugin):
    """Adds tolerations of not-ready and unreachable nodes to pods that say nothing about them."""

    name = "DefaultTolerationSeconds"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    def __init__(self, not_ready_seconds: int = SECONDS, unreachable_seconds: int = SECONDS) -> None:
        self._seconds = dict(zip(_KEYS, (not_ready_seconds, unreachable_seconds), strict=True))

    async def admit(self, attributes: Attributes) -> None:
        """Add what is missing."""
        if attributes.subresource:
            return
        spec = attributes.new.setdefault("spec", {})
        tolerations: list[Object] = spec.get("tolerations") or []
        missing = [key for key in _KEYS if not any(_speaks_of(one, key) for one in tolerations)]
        if missing:
            spec["tolerations"] = tolerations + [self._toleration(key) for key in missing]

    def _toleration(self, key: str) -> Object:
        return {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": self._seconds[key],
        }


def _speaks_of(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (key, "", None) and toleration.get("effect") in ("NoExecute", "", None)
