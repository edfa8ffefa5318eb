"""Pure: what makes a StatefulSet's pod that pod: its name, host name, labels and claims."""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.api.apps import stateful_set as sets
from kubarium.api.apps.controller_revision import REVISION_LABEL
from kubarium.api.core.pod import template as templates
from kubarium.apimachinery import owners
from kubarium.apimachinery.object import (
    Object,
    copy,
    labels_of,
    metadata_of,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)


def new_pod(stateful_set: Object, template: Object, revision: str, ordinal: int) -> Object:
    """The pod with this number, made from a revision's template."""
    reference = owners.owner_reference_to(stateful_set, api_version="apps/v1", kind="StatefulSet")
    pod = templates.pod_from(template, reference, templates.generate_name_for(name_of(stateful_set)))
    metadata = metadata_of(pod)
    metadata["name"] = sets.pod_name(stateful_set, ordinal)
    metadata["namespace"] = namespace_of(stateful_set)
    pod["spec"]["hostname"] = metadata["name"]
    if spec_of(stateful_set).get("serviceName"):
        pod["spec"]["subdomain"] = spec_of(stateful_set)["serviceName"]
    with_identity(pod, stateful_set, ordinal)
    metadata["labels"][REVISION_LABEL] = revision
    return pod


def with_identity(pod: Object, stateful_set: Object, ordinal: int) -> None:
    """Write the name into the labels, and the claims into the volumes."""
    name = sets.pod_name(stateful_set, ordinal)
    metadata_of(pod)["labels"] = {**labels_of(pod), sets.POD_NAME: name, sets.POD_INDEX: str(ordinal)}
    claimed = {name_of(one): one for one in sets.claim_templates_of(stateful_set)}
    volumes = [
        {
            "name": name,
            "persistentVolumeClaim": {
                "claimName": sets.claim_name(one, stateful_set, ordinal),
            },
        }
        for name, one in claimed.items()
    ]
    kept = [one for one in pod["spec"].get("volumes") or [] if one.get("name") not in claimed]
    if volumes or kept:
        pod["spec"]["volumes"] = [*volumes, *kept]


def lost_identity(pod: Object, stateful_set: Object, ordinal: int) -> Object | None:
    """The labels that somebody has taken from the pod, as a patch; None when all is well."""
    wanted = {sets.POD_NAME: name_of(pod), sets.POD_INDEX: str(ordinal)}
    missing = {key: value for key, value in wanted.items() if labels_of(pod).get(key) != value}
    return {"metadata": {"labels": missing}} if missing else None


def revision_of(pod: Object) -> str:
    """The name of the revision that the pod was made from."""
    return labels_of(pod).get(REVISION_LABEL) or ""


def claims_for(stateful_set: Object, ordinal: int) -> Iterable[Object]:
    """The claims of the pod with this number."""
    for template in sets.claim_templates_of(stateful_set):
        claim = copy(template)
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        claim.pop("status", None)
        metadata = metadata_of(claim)
        metadata["name"] = sets.claim_name(template, stateful_set, ordinal)
        metadata["namespace"] = namespace_of(stateful_set)
        selector = (spec_of(stateful_set).get("selector") or {}).get("matchLabels") or {}
        metadata["labels"] = {**labels_of(claim), **selector}
        yield claim


def claim_owners(claim: Object, stateful_set: Object, pod: Object | None, *, condemned: bool) -> list[Object]:
    """Who must own the claim for the retention policy to come true; owners of others are kept.

    whenDeleted: Delete                 → the set
    whenScaled:  Delete, pod condemned  → the pod
    """
    when_deleted, when_scaled = sets.retention_of(stateful_set)
    ours = {uid_of(stateful_set), uid_of(pod) if pod is not None else ""}
    wanted = [
        one
        for one in owners.owners_of(claim)
        if one.get("uid") not in ours and not _is_stale(one, stateful_set, claim)
    ]
    if pod is not None and condemned and when_scaled == "Delete":
        wanted.append(_reference("v1", "Pod", pod))
    elif when_deleted == "Delete":
        wanted.append(_reference("apps/v1", "StatefulSet", stateful_set))
    return wanted


def _is_stale(reference: Object, stateful_set: Object, claim: Object) -> bool:
    """A reference to an earlier pod of the same name."""
    return reference.get("kind") == "Pod" and name_of(claim).endswith(f"-{reference.get('name')}")


def _reference(api_version: str, kind: str, owner: Object) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
