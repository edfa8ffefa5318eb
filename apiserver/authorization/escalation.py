"""Nobody gives away, by writing roles or bindings, what he does not hold himself.

The exceptions are the verbs `escalate` (on roles) and `bind` (on the role that is bound).
"""

from __future__ import annotations

import dataclasses

from apiserver.authorization.authorizer import Authorizers
from apiserver.authorization.rbac import RBAC
from apiserver.request import RequestContext, RequestInfo, User
from kubarium.api.authentication import users
from kubarium.api.rbac import roles
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of

_PLURALS = {"Role": "roles", "ClusterRole": "clusterroles"}


class EscalationCheck:
    """Asked by the registry before a role or binding is written."""

    def __init__(self, rbac: RBAC, authorizer: Authorizers) -> None:
        self._rbac = rbac
        self._authorizer = authorizer

    async def check_role(self, context: RequestContext, role: Object) -> None:
        """Raises Forbidden if the role allows what its writer may not do."""
        plural = _PLURALS[role["kind"]]
        if await self._may(context, "escalate", plural, "", ""):
            return
        self._covered(context.user, roles.rules_of(role), namespace_of(role), plural, name_of(role))

    async def check_binding(self, context: RequestContext, binding: Object) -> None:
        """Raises Forbidden if the bound role allows what the binder may not do."""
        reference, namespace = binding.get("roleRef") or {}, namespace_of(binding)
        plural = "rolebindings" if binding["kind"] == "RoleBinding" else "clusterrolebindings"
        bound = _PLURALS.get(reference.get("kind") or "", "")
        if await self._may(context, "bind", bound, namespace, reference.get("name") or ""):
            return
        rules = self._rbac.rules_of_reference(reference, namespace)
        if rules is None:
            raise errors.NotFound.of(roles.GROUP, bound, reference.get("name") or "")
        self._covered(context.user, rules, namespace, plural, name_of(binding))

    async def _may(self, context: RequestContext, verb: str, plural: str, namespace: str, name: str) -> bool:
        if users.MASTERS in context.user.groups:
            return True
        base = context.info
        info: RequestInfo = dataclasses.replace(
            base, verb=verb, group=roles.GROUP, resource=plural, subresource="", is_resource=True,
            namespace=namespace or base.namespace, name=name or base.name,
        )  # fmt: skip
        return (await self._authorizer.decide(context.user, info)).allowed

    def _covered(self, user: User, wanted: list[Object], namespace: str, plural: str, name: str) -> None:
        missing = roles.uncovered(wanted, self._rbac.rules_for(user, namespace))
        if not missing:
            return
        groups = " ".join(f'"{group}"' for group in user.groups)
        rights = "\n".join(dict.fromkeys(roles.compact(right) for right in missing))
        why = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
            f"\n{rights}"
        )
        raise errors.Forbidden.of(roles.GROUP, plural, name, why)
