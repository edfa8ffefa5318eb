"""Nobody gives away, by writing roles or bindings, what he does not hold himself.

Upstream checks this in the registry of roles; here it is a plugin that cannot be switched off.
"""

from __future__ import annotations

from typing import Protocol

from apiserver.admission.plugin import AdmissionPlugin, Attributes
from apiserver.request import RequestContext
from kubarium.api.rbac.roles import GROUP
from kubarium.apimachinery.object import Object


class Guard(Protocol):
    """Knows the rights of everybody; see authorization/escalation.py."""

    async def check_role(self, context: RequestContext, role: Object) -> None:
        """Raises Forbidden."""
        ...

    async def check_binding(self, context: RequestContext, binding: Object) -> None:
        """Raises Forbidden."""
        ...


class RoleEscalation(AdmissionPlugin):
    """Judges what roles and bindings would allow."""

    name = "RoleEscalation"
    resources = frozenset(
        (GROUP, plural) for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    )

    def __init__(self, guard: Guard | None) -> None:
        self._guard = guard

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what gives away too much; changes of labels alone pass."""
        new, old = attributes.new, attributes.old
        if self._guard is None:
            return
        if "roleRef" in new:
            if (
                old is None
                or new.get("subjects") != old.get("subjects")
                or new["roleRef"] != old.get("roleRef")
            ):
                await self._guard.check_binding(attributes.context, new)
        elif old is None or new.get("rules") != old.get("rules"):
            await self._guard.check_role(attributes.context, new)
