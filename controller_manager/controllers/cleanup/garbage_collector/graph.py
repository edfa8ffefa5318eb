"""Pure: who owns whom, by uid, across all kinds. What a change means comes back as a list of things to look at.

A *virtual* node stands for an owner that somebody refers to but that has not been seen: it may be on its way to us
through another watch, or it may not exist. Whoever looks at it asks the API server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kubarium.apimachinery import group_version, owners
from kubarium.apimachinery.object import Object, finalizers_of, is_deleting, name_of, namespace_of, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is found."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind}{'.' + self.group if self.group else ''} {where}"


@dataclass(slots=True)
class Owner:
    """One entry of an object's ownerReferences."""

    uid: str
    place: Place
    blocks: bool  # blockOwnerDeletion


@dataclass(slots=True)
class Node:
    """One object. Only the graph changes it."""

    uid: str
    place: Place
    virtual: bool = False
    deleting: bool = False
    deleting_dependents: bool = False  # waits, by foreground deletion, for its dependents to go
    orphaning: bool = False  # waits until its dependents have forgotten it
    owners: list[Owner] = field(default_factory=list)
    dependents: dict[str, Node] = field(default_factory=dict)

    def blocking_dependents(self) -> list[Node]:
        """Those that must go before this one may."""
        return [
            one for one in self.dependents.values() if any(o.uid == self.uid and o.blocks for o in one.owners)
        ]


@dataclass(frozen=True, slots=True)
class Look:
    """What to look at: objects that may have to be deleted, objects whose dependents are to be orphaned."""

    delete: frozenset[str] = frozenset()
    orphan: frozenset[str] = frozenset()


class Graph:
    """All objects with their owners and dependents."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    def put(self, obj: Object, place: Place) -> Look:
        """An object is there, or has changed."""
        uid = uid_of(obj)
        node = self.nodes.get(uid)
        fresh = node is None or node.virtual
        if node is None:
            node = self.nodes[uid] = Node(uid, place)
        was = (node.deleting_dependents, node.orphaning)
        node.virtual, node.place = False, place
        node.deleting = is_deleting(obj)
        node.deleting_dependents = node.deleting and FOREGROUND in finalizers_of(obj)
        node.orphaning = node.deleting and ORPHAN in finalizers_of(obj)
        look = set(self._set_owners(node, list(_owners_in(obj, place.namespace))))
        if node.deleting_dependents and (fresh or not was[0]):
            look |= {uid, *node.dependents}
        orphan = {uid} if node.orphaning and (fresh or not was[1]) else set()
        return Look(frozenset(look), frozenset(orphan))

    def remove(self, uid: str) -> Look:
        """An object is gone (or never was): its dependents, and owners that waited for it, deserve a look."""
        node = self.nodes.pop(uid, None)
        if node is None:
            return Look()
        look = set(node.dependents)
        look |= self._leave_owners(node, node.owners)
        if node.dependents:  # they still name it: keep an entry so that they can be found by it
            ghost = self.nodes[uid] = Node(uid, node.place, virtual=True)
            ghost.dependents = node.dependents
        return Look(frozenset(look))

    def forget_absent(self, uid: str) -> Look:
        """The API server says that this owner does not exist."""
        node = self.nodes.get(uid)
        return Look(frozenset(node.dependents)) if node is not None else Look()

    def _set_owners(self, node: Node, new: list[Owner]) -> Iterable[str]:
        """Link to the owners; the answer: who has to be looked at because of it."""
        old = {owner.uid: owner for owner in node.owners}
        wanted = {owner.uid: owner for owner in new}
        node.owners = new
        look = self._leave_owners(node, [owner for uid, owner in old.items() if uid not in wanted])
        unblocked = [o for uid, o in old.items() if uid in wanted and o.blocks and not wanted[uid].blocks]
        look |= {owner.uid for owner in unblocked if self._waits(owner.uid)}
        for uid, owner in wanted.items():
            known = self.nodes.get(uid)
            if known is None:
                known = self.nodes[uid] = Node(uid, owner.place, virtual=True)
                look.add(uid)
            elif uid not in old and (known.deleting_dependents or known.virtual):
                look.add(node.uid)
            known.dependents[node.uid] = node
        return look

    def _leave_owners(self, node: Node, left: Iterable[Owner]) -> set[str]:
        look = set()
        for owner in left:
            known = self.nodes.get(owner.uid)
            if known is None:
                continue
            known.dependents.pop(node.uid, None)
            if known.virtual and not known.dependents:
                del self.nodes[owner.uid]
            elif known.deleting_dependents:
                look.add(owner.uid)
        return look

    def _waits(self, uid: str) -> bool:
        known = self.nodes.get(uid)
        return known is not None and known.deleting_dependents


def place_of(obj: Object, group: str, kind: str) -> Place:
    """Where this object is."""
    return Place(group, kind, namespace_of(obj), name_of(obj))


def _owners_in(obj: Object, namespace: str) -> Iterable[Owner]:
    for reference in owners.owners_of(obj):
        group, _ = group_version.split(reference.get("apiVersion") or "")
        place = Place(group, reference.get("kind") or "", namespace, reference.get("name") or "")
        yield Owner(reference.get("uid") or "", place, bool(reference.get("blockOwnerDeletion")))
