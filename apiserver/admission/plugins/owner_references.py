"""Whoever blocks an owner's deletion by a reference to it must be allowed to change the owner's finalizers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apiserver.admission.plugin import AdmissionPlugin, Attributes
from apiserver.request import RequestInfo, User
from kubarium.apimachinery.group_version import split
from kubarium.apimachinery.object import Object

_PLURAL_ENDINGS = (("y", "ies"), ("s", "ses"), ("x", "xes"), ("ch", "ches"))


class OwnerReferencesPermissionEnforcement(AdmissionPlugin):
    """Judges new owner references. Off unless asked for."""

    name = "OwnerReferencesPermissionEnforcement"

    def __init__(self, may: Callable[[User, RequestInfo], Awaitable[bool]]) -> None:
        self._may = may

    async def validate(self, attributes: Attributes) -> None:
        """Changing owners needs the right to delete; blocking one needs the right to its finalizers."""
        new, old = _owners(attributes.obj), _owners(attributes.old)
        if attributes.subresource == "status" or new == old:
            return
        info = attributes.context.info
        if attributes.old is not None and not await self._allowed(
            attributes, "delete", info, "", attributes.name
        ):
            raise attributes.forbidden(
                f"cannot set an ownerRef on a resource you can't delete: , {attributes.name}"
            )
        for reference in new:
            if reference.get("blockOwnerDeletion") and reference not in old:
                await self._check_blocking(attributes, reference)

    async def _check_blocking(self, attributes: Attributes, reference: Object) -> None:
        group, version = split(reference.get("apiVersion") or "")
        plural = _plural(reference.get("kind") or "")
        place = RequestInfo("", "update", True, "apis", group, version, attributes.namespace, plural)
        if not await self._allowed(attributes, "update", place, "finalizers", reference.get("name") or ""):
            raise attributes.forbidden(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers "
                "on: , "
            )

    async def _allowed(
        self, attributes: Attributes, verb: str, place: RequestInfo, subresource: str, name: str
    ) -> bool:
        question = RequestInfo(
            "",
            verb,
            True,
            "apis",
            place.group,
            place.version,
            place.namespace,
            place.resource,
            subresource,
            name,
        )
        return await self._may(attributes.user, question)


def _owners(obj: Object | None) -> list[Object]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or []


def _plural(kind: str) -> str:
    lowered = kind.lower()
    for ending, plural in _PLURAL_ENDINGS:
        if lowered.endswith(ending):
            return lowered.removesuffix(ending) + plural
    return lowered + "s"
