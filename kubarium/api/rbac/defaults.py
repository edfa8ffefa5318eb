"""What absent fields of role bindings mean."""

from __future__ import annotations

from kubarium.apimachinery.object import Object

GROUP = "rbac.authorization.k8s.io"


def fill_defaults(binding: Object) -> None:
    """Roles, users and groups belong to this API group; service accounts to the core group."""
    reference = binding.get("roleRef")
    if reference is not None and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in binding.get("subjects") or []:
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP
