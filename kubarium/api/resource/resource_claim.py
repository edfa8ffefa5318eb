"""ResourceClaims: which claims belong to a pod, who holds a claim, what was allocated for it.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubarium.apimachinery import owners
from kubarium.apimachinery.object import (
    Object,
    finalizers_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)

FINALIZER = "resource.kubernetes.io/delete-protection"
POD_CLAIM_NAME = "resource.kubernetes.io/pod-claim-name"
EXTENDED_RESOURCE_CLAIM = "resource.kubernetes.io/extended-resource-claim"

MOST_CONSUMERS = 256  # ResourceClaimReservedForMaxSize
MOST_DEVICES = 32  # AllocationResultsMaxSize


class ClaimError(Exception):
    """The pod's claim cannot be told yet, or is not the pod's."""


class PodClaim(NamedTuple):
    """A claim that a pod names. `generated`: made for it from a template, and so owned by it."""

    name: str
    generated: bool


def pod_claims(pod: Object) -> Iterator[PodClaim]:
    """The claims of a pod by name. Raises ClaimError where one was not made yet."""
    asked = spec_of(pod).get("resourceClaims") or ()
    made = {one["name"]: one for one in status_of(pod).get("resourceClaimStatuses") or ()}
    for entry in asked:
        if entry.get("resourceClaimName"):
            yield PodClaim(entry["resourceClaimName"], False)
        elif entry["name"] not in made:
            raise ClaimError(f'pod "{namespace_of(pod)}/{name_of(pod)}": ResourceClaim not created yet')
        elif made[entry["name"]].get("resourceClaimName"):
            yield PodClaim(made[entry["name"]]["resourceClaimName"], True)


def names_for(pod: Object) -> list[str]:
    """The claims that a pod has by now: named, made from templates, and for extended resources."""
    status = status_of(pod)
    listed = [*(spec_of(pod).get("resourceClaims") or ()), *(status.get("resourceClaimStatuses") or ())]
    listed.append(status.get("extendedResourceClaimStatus") or {})
    return [name for one in listed if (name := one.get("resourceClaimName"))]


def objection_to(claim: Object, pod: Object, generated: bool) -> str:
    """Why a pod cannot use a claim, or nothing."""
    if "deletionTimestamp" in claim["metadata"]:
        return f'resourceclaim "{name_of(claim)}" is being deleted'
    if generated and not owners.is_controlled_by(claim, pod):
        there = f"{namespace_of(claim)}/{name_of(claim)}"
        return (
            f"ResourceClaim {there} was not created for pod {namespace_of(pod)}/{name_of(pod)} "
            "(pod is not owner)"
        )
    return ""


def allocation_of(claim: Object) -> Object | None:
    """What was allocated, if anything."""
    return status_of(claim).get("allocation")


def results_of(claim: Object) -> list[Object]:
    """The devices that were given to it."""
    return ((allocation_of(claim) or {}).get("devices") or {}).get("results") or []


def consumers_of(claim: Object) -> list[Object]:
    """Who may use the claim at the moment."""
    return status_of(claim).get("reservedFor") or []


def is_reserved_for(claim: Object, uid: str) -> bool:
    """May the pod with this uid use it?"""
    return any(one.get("uid") == uid for one in consumers_of(claim))


def can_be_reserved(claim: Object) -> bool:
    """Is there room for one more consumer?"""
    return len(consumers_of(claim)) < MOST_CONSUMERS


def has_finalizer(claim: Object) -> bool:
    """Is the claim kept from vanishing while devices are allocated for it?"""
    return FINALIZER in finalizers_of(claim)


def is_for_extended_resources(claim: Object, pod: Object) -> bool:
    """Was the claim made by the scheduler for the extended resources of this pod?"""
    annotations = claim["metadata"].get("annotations") or {}
    return annotations.get(EXTENDED_RESOURCE_CLAIM) == "true" and any(
        owner.get("controller") and owner.get("uid") == uid_of(pod)
        for owner in claim["metadata"].get("ownerReferences") or ()
    )
