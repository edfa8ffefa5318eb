"""Groups of the Kubernetes community's own domains need its approval, or must say that they have none.

Source: https://github.com/kubernetes/enhancements/pull/1111
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from kubarium.apimachinery.field_path import METADATA, FieldError, invalid, required
from kubarium.apimachinery.object import Object, annotations_of, spec_of

CONFORMANT = "KubernetesAPIApprovalPolicyConformant"
_APPROVED = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def errors(definition: Object) -> Iterator[FieldError]:
    """Groups of the community's own domains need its approval, or must say that they have none."""
    group = spec_of(definition).get("group") or ""
    if not _is_protected(group):
        return
    annotations, path = annotations_of(definition), (METADATA / "annotations").key(_APPROVED)
    said = annotations.get(_APPROVED) or ""
    if not said:
        text = f'protected groups must have approval annotation "{_APPROVED}", {_SEE}'
        yield required(path, text)
    elif not said.startswith("unapproved") and not (urlsplit(said).scheme and urlsplit(said).netloc):
        text = (
            f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason starting '
            f'with "unapproved", {_SEE}'
        )
        yield invalid(path, said, text)


def condition(definition: Object) -> Object | None:
    """What the status of a definition in such a group says of its approval."""
    if not _is_protected(spec_of(definition).get("group") or ""):
        return None
    said = annotations_of(definition).get(_APPROVED) or ""
    wrong = next(errors(definition), None)
    if wrong is not None:
        reason = "InvalidAnnotation" if said else "MissingAnnotation"
        status, message = "False", wrong.body[wrong.body.index("protected groups") :]
    elif said.startswith("unapproved"):
        status, reason, message = "False", "UnapprovedAnnotation", f"not approved: {json.dumps(said)}"
    else:
        status, reason, message = "True", "ApprovedAnnotation", f"approved in {said}"
    return {"type": CONFORMANT, "status": status, "reason": reason, "message": message}


def _is_protected(group: str) -> bool:
    return any(group == domain or group.endswith(f".{domain}") for domain in _PROTECTED)


def state(definition: Object) -> str:
    """How it stands with the approval: missing, invalid, bypassed, or given."""
    found = list(errors(definition))
    if found:
        return found[0].type
    return (
        "bypassed" if (annotations_of(definition).get(_APPROVED) or "").startswith("unapproved") else "given"
    )
