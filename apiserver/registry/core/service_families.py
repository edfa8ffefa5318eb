"""Which families of addresses a Service gets, as far as it does not say. Pure.

Source: KEP-563, and the order of the rules in `k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.api.core.service import NONE, PREFER_DUAL, REQUIRE_DUAL, SINGLE
from kubarium.apimachinery.field_path import SPEC, FieldError, invalid
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.rules import family_of

BOTH = ("IPv4", "IPv6")


def fill_policy(spec: Object, old: Object) -> None:
    """Who says nothing keeps the policy; a new Service has one family, but for names of things outside."""
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = old.get("ipFamilyPolicy") or (
            REQUIRE_DUAL if _names_others(spec) else SINGLE
        )


def give_up_second(spec: Object, old: Object) -> None:
    """To ask for one family is enough: the lists may stay as they were."""
    if spec["ipFamilyPolicy"] == SINGLE:
        for name in ("clusterIPs", "ipFamilies"):
            if len(spec.get(name) or ()) > 1 and spec[name] == old.get(name):
                spec[name] = spec[name][:1]


def stays_as_it_is(spec: Object, old: Object) -> bool:
    """A Service that prefers two families neither gets nor loses one because the cluster has changed."""
    same = ("type", "ipFamilyPolicy", "clusterIPs", "ipFamilies")
    return spec.get("ipFamilyPolicy") == PREFER_DUAL and all(spec.get(name) == old.get(name) for name in same)


def choose(spec: Object, configured: Sequence[str]) -> list[FieldError]:
    """Fill in `ipFamilies`; what the cluster cannot do is an error. The policy is known already."""
    families = spec.setdefault("ipFamilies", []) or []
    addresses = spec.get("clusterIPs") or []
    found: list[FieldError] = []
    for index, address in enumerate(addresses):
        if address == NONE:
            break
        family = family_of(address)
        if index >= len(families) and family in configured:
            families.append(family)
        elif index >= len(families):
            text = f"{family} is not configured on this cluster"
            found.append(invalid(SPEC / "clusterIPs" % index, addresses, text))
    if not _names_others(spec) and not found:
        found = _missing(spec, families, configured)
    if not found:
        families = families or [configured[0]]
        offered = BOTH if _names_others(spec) else configured
        if spec["ipFamilyPolicy"] != SINGLE and len(families) == 1:
            families += [family for family in offered if family not in families]
    spec["ipFamilies"] = families
    return found


def _missing(spec: Object, families: Sequence[str], configured: Sequence[str]) -> list[FieldError]:
    found = []
    if spec["ipFamilyPolicy"] == REQUIRE_DUAL and len(configured) < 2:
        text = "this cluster is not configured for dual-stack services"
        found.append(invalid(SPEC / "ipFamilyPolicy", REQUIRE_DUAL, text))
    for index, family in enumerate(families):
        if family not in configured:
            found.append(invalid(SPEC / "ipFamilies" % index, family, "not configured on this cluster"))
    return found


def _names_others(spec: Object) -> bool:
    """Headless and without a selector: whoever it leads to may have addresses of any family."""
    return spec.get("clusterIP") == NONE and not spec.get("selector")
