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
    api_version: str = ""


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
    """What may have to be deleted, whose dependents are to be orphaned, and references to complain about."""

    delete: frozenset[str] = frozenset()
    orphan: frozenset[str] = frozenset()
    strangers: tuple[tuple[Node, Owner], ...] = ()  # they name an owner that lives in another namespace


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
        known_owners = {owner.uid for owner in node.owners}
        node.virtual, node.place = False, place
        node.deleting = is_deleting(obj)
        node.deleting_dependents = node.deleting and FOREGROUND in finalizers_of(obj)
        node.orphaning = node.deleting and ORPHAN in finalizers_of(obj)
        look = set(self._set_owners(node, list(_owners_in(obj, place.namespace))))
        if node.deleting_dependents and (fresh or not was[0]):
            look |= {uid, *node.dependents}
        orphan = {uid} if node.orphaning and (fresh or not was[1]) else set()
        mistaken = self._mistaken_by(node, known_owners)
        if fresh:
            mistaken += [
                (one, owner) for one in node.dependents.values() if (owner := _mistake(one, node)) is not None
            ]
        look |= {one.uid for one, _ in mistaken}
        strangers = [(one, owner) for one, owner in mistaken if self._is_elsewhere(one, owner)]
        return Look(frozenset(look), frozenset(orphan), tuple(strangers))

    def _mistaken_by(self, node: Node, known_owners: set[str]) -> list[tuple[Node, Owner]]:
        """New references to an owner that we have seen, but elsewhere or under another name."""
        found = []
        for owner in node.owners:
            seen = self.nodes.get(owner.uid)
            if (
                owner.uid not in known_owners
                and seen is not None
                and not seen.virtual
                and _mistake(node, seen)
            ):
                found.append((node, owner))
        return found

    def _is_elsewhere(self, node: Node, owner: Owner) -> bool:
        place = self.nodes[owner.uid].place
        return bool(place.namespace) and place.namespace != node.place.namespace

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


def _mistake(node: Node, owner: Node) -> Owner | None:
    """The reference by which a node names this owner, if the owner is not what and where it says."""
    for one in node.owners:
        if one.uid == owner.uid:
            said, real = one.place, owner.place
            same = (said.group, said.kind, said.name) == (real.group, real.kind, real.name)
            return None if same and real.namespace in ("", said.namespace) else one
    return None


def place_of(obj: Object, group: str, kind: str) -> Place:
    """Where this object is."""
    return Place(group, kind, namespace_of(obj), name_of(obj))


def _owners_in(obj: Object, namespace: str) -> Iterable[Owner]:
    for reference in owners.owners_of(obj):
        version = reference.get("apiVersion") or ""
        group, _ = group_version.split(version)
        place = Place(group, reference.get("kind") or "", namespace, reference.get("name") or "")
        yield Owner(reference.get("uid") or "", place, bool(reference.get("blockOwnerDeletion")), version)
