"""Who owns whom: reading and writing `metadata.ownerReferences`."""

from __future__ import annotations

from kubarium.apimachinery.object import Object, name_of, uid_of


def owners_of(obj: Object) -> list[Object]:
    """All owner references."""
    return (obj.get("metadata") or {}).get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """The one reference whose owner manages this object, if there is one."""
    return next((reference for reference in owners_of(obj) if reference.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Does `owner` manage `obj`? Decided by uid: a namesake made later does not count."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def owner_reference_to(owner: Object, *, api_version: str = "", kind: str = "") -> Object:
    """A reference that makes `owner` the managing owner. The type may be given where a list item lacks it."""
    return {
        "apiVersion": api_version or owner["apiVersion"],
        "kind": kind or owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
