"""ControllerRevision history, for StatefulSet and DaemonSet: every template a set ever had, numbered.

The newest number is the present template. Going back to an older template gives its revision a new number; nothing
is stored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.apps import controller_revision
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import Object, copy, name_of, namespace_of, uid_of
from kubarium.client.resource import ResourceClient


class Revisions:
    """The history of sets of one kind."""

    def __init__(
        self,
        client: ResourceClient,
        api_version: str,
        kind: str,
        hash_label: str = controller_revision.HASH_LABEL,
    ) -> None:
        self._client, self._hash_label = client, hash_label
        self._api_version, self._kind = api_version, kind

    def build(
        self, owner: Object, data: Object, number: int, labels: dict[str, str], collisions: int
    ) -> Object:
        """A revision of the owner's template that is not stored yet."""
        reference = owners.owner_reference_to(owner, api_version=self._api_version, kind=self._kind)
        return controller_revision.new(owner, reference, data, number, labels, collisions, self._hash_label)

    async def create(self, owner: Object, revision: Object, collisions: int) -> tuple[Object, int]:
        """Store a revision. Where its name is taken by other content, another name is tried.

        Returns the stored revision and the new count of collisions.
        """
        while True:
            wanted = controller_revision.renamed(revision, name_of(owner), collisions, self._hash_label)
            try:
                return await self._client.create(wanted), collisions
            except errors.AlreadyExists:
                existing = await self._client.get(name_of(wanted), namespace_of(owner))
                if controller_revision.same_data(existing, wanted):
                    return existing, collisions
                collisions += 1

    async def renumber(self, revision: Object, number: int) -> Object:
        """Make an old revision the newest."""
        if revision.get("revision") == number:
            return revision
        changed = copy(revision)
        changed["revision"] = number
        return await self._client.update(changed)

    async def current(
        self, owner: Object, history: Sequence[Object], data: Object, labels: dict[str, str], collisions: int
    ) -> tuple[Object, int]:
        """The revision of the owner's present template: found, renumbered or made."""
        newest = max((one.get("revision") or 0 for one in history), default=0)
        candidate = self.build(owner, data, newest + 1, labels, collisions)
        equal = [one for one in ordered(history) if controller_revision.same_data(one, candidate)]
        if equal and equal[-1] is ordered(history)[-1]:
            return equal[-1], collisions
        if equal:
            return await self.renumber(equal[-1], newest + 1), collisions
        return await self.create(owner, candidate, collisions)

    async def trim(self, history: Sequence[Object], limit: int, in_use: Iterable[str]) -> None:
        """Delete the oldest revisions beyond the limit; names in use stay."""
        live = set(in_use)
        spare = [one for one in ordered(history) if name_of(one) not in live]
        for revision in spare[: max(0, len(spare) - limit)]:
            try:
                await self._client.delete(name_of(revision), namespace_of(revision))
            except errors.NotFound:
                continue


def ordered(history: Iterable[Object]) -> list[Object]:
    """Oldest first."""
    return sorted(history, key=lambda one: (one.get("revision") or 0, created(one), name_of(one)))


def created(obj: Object) -> str:
    """The creation time as text, which sorts like the time itself."""
    return (obj.get("metadata") or {}).get("creationTimestamp") or ""


def belongs_to(revision: Object, owner: Object) -> bool:
    """Is this revision controlled by the owner?"""
    reference = owners.controller_of(revision)
    return reference is not None and reference.get("uid") == uid_of(owner)
