"""Claim orphans that match, release those that no longer do.

controlled by somebody else                → not ours
controlled by us, selected                 → keep
controlled by us, no longer selected       → release (unless we are being deleted)
nobody's, selected, neither is on its way out → adopt, after asking the API server that we still exist
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)
from kubarium.client.controller import Keys
from kubarium.client.informer import Informer
from kubarium.client.lister import Lister
from kubarium.client.resource import ResourceClient


class OwnerIsGone(errors.Conflict):
    """The owner was deleted meanwhile; it must not adopt any more."""


@dataclass(frozen=True)
class Adoption:
    """Claims dependents of one kind for owners of one kind.

    `owner_kind` and `owner_api_version` are written into references, because items of lists may lack them.
    `finalizer`, if any, is taken off what is released.
    """

    owners: ResourceClient
    dependents: ResourceClient
    owner_api_version: str
    owner_kind: str
    finalizer: str = ""

    async def claim(self, owner: Object, selector: Selector, candidates: Iterable[Object]) -> list[Object]:
        """Those of the candidates that belong to `owner` when this returns."""
        claimed: list[Object] = []
        asked = False
        for obj in candidates:
            controller = owners.controller_of(obj)
            if controller is not None:
                if controller.get("uid") != uid_of(owner):
                    continue
                if selector.matches(labels_of(obj)):
                    claimed.append(obj)
                elif not is_deleting(owner):
                    await self._release(owner, obj)
                continue
            if is_deleting(owner) or is_deleting(obj) or not selector.matches(labels_of(obj)):
                continue
            if not asked:
                await self._still_wanted(owner)
                asked = True
            adopted = await self._adopt(owner, obj)
            if adopted is not None:
                claimed.append(adopted)
        return claimed

    async def _still_wanted(self, owner: Object) -> None:
        fresh = await self.owners.get(name_of(owner), namespace_of(owner))
        if uid_of(fresh) != uid_of(owner):
            raise OwnerIsGone(
                f"original {self.owner_kind} {namespace_of(owner)}/{name_of(owner)} is gone: "
                f"got uid {uid_of(fresh)}, wanted {uid_of(owner)}"
            )
        if is_deleting(fresh):
            raise OwnerIsGone(
                f"{namespace_of(owner)}/{name_of(owner)} has just been deleted at "
                f"{fresh['metadata']['deletionTimestamp']}"
            )

    async def _adopt(self, owner: Object, obj: Object) -> Object | None:
        reference = owners.owner_reference_to(owner, api_version=self.owner_api_version, kind=self.owner_kind)
        return await self._write_owners(obj, [*owners.owners_of(obj), reference], add_finalizer=True)

    async def _release(self, owner: Object, obj: Object) -> None:
        rest = [one for one in owners.owners_of(obj) if one.get("uid") != uid_of(owner)]
        await self._write_owners(obj, rest, add_finalizer=False)

    async def _write_owners(
        self, obj: Object, references: list[Object], *, add_finalizer: bool
    ) -> Object | None:
        """Guarded by uid and resourceVersion: a namesake or a newer state is never overwritten."""
        metadata: Object = {
            "uid": uid_of(obj),
            "resourceVersion": resource_version_of(obj),
            "ownerReferences": references or None,
        }
        if self.finalizer:
            kept = [one for one in obj["metadata"].get("finalizers") or [] if one != self.finalizer]
            metadata["finalizers"] = ([*kept, self.finalizer] if add_finalizer else kept) or None
        try:
            return await self.dependents.patch(name_of(obj), {"metadata": metadata}, namespace_of(obj))
        except errors.NotFound:
            return None
        except errors.Invalid:
            if add_finalizer:
                raise
            return None  # the object is ours no more, or no more at all


def dependent_keys(kind: str, lister: Lister, selector_of: Callable[[Object], Selector]) -> Keys:
    """Whom a change of a dependent concerns: its controller, or everyone who might adopt an orphan."""

    def keys(obj: Object) -> Iterable[ObjectKey]:
        controller = owners.controller_of(obj)
        if controller is not None:
            return (
                (ObjectKey(namespace_of(obj), controller["name"]),) if controller.get("kind") == kind else ()
            )
        if is_deleting(obj) or not labels_of(obj):
            return ()
        return [
            key_of(one) for one in lister.list(namespace_of(obj)) if selector_of(one).matches(labels_of(obj))
        ]

    return keys


def index_by_controller(informer: Informer) -> Lister:
    """Let `candidates` find dependents without looking at the whole namespace; the informer's lister."""
    informer.add_index("controller", lambda obj: [_controller_key(obj)])
    return informer.lister


def candidates(lister: Lister, owner: Object) -> list[Object]:
    """What the owner controls, and the orphans of its namespace."""
    orphans = lister.by_index("controller", f"orphans of {namespace_of(owner)}")
    return [*lister.by_index("controller", uid_of(owner)), *orphans]


def _controller_key(obj: Object) -> str:
    controller = owners.controller_of(obj)
    return f"orphans of {namespace_of(obj)}" if controller is None else str(controller.get("uid"))


def owner_of(obj: Object, kind: str, lister: Lister) -> Object | None:
    """The owner that controls the object, if it is of this kind and still the same one."""
    controller = owners.controller_of(obj)
    if controller is None or controller.get("kind") != kind:
        return None
    owner = lister.get(namespace_of(obj), controller["name"])
    return owner if owner is not None and uid_of(owner) == controller.get("uid") else None
