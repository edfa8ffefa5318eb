"""ServiceCIDR: a range from which addresses of Services are taken."""

from __future__ import annotations

from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    immutable,
    invalid,
    required,
)
from kubarium.apimachinery.object import Object

_ONE_PER_FAMILY = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def validate(service_cidr: Object) -> list[FieldError]:
    """One range, or one of each family."""
    cidrs = (service_cidr.get("spec") or {}).get("cidrs") or []
    at = SPEC / "cidrs"
    if not cidrs:
        return [required(at, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid(at, cidrs, "may only hold up to 2 values")]
    found = [error for index, cidr in enumerate(cidrs) for error in _canonical_block(at % index, cidr)]
    if not found and len({rules.family_of(cidr) for cidr in cidrs}) < len(cidrs):
        found.append(invalid(at, cidrs, _ONE_PER_FAMILY))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """A second family may be added; what is there stays."""
    after = (new.get("spec") or {}).get("cidrs") or []
    before = (old.get("spec") or {}).get("cidrs") or []
    if len(before) == 1 and len(after) == 2 and after[0] == before[0]:
        return validate(new)
    return immutable(SPEC / "cidrs", after, before)


def _canonical_block(path: FieldPath, text: str) -> list[FieldError]:
    block = rules.block_of(text)
    if block is None:
        return [invalid(path, text, rules.NOT_A_BLOCK)]
    if str(block) != text:
        return [invalid(path, text, f'must be in canonical form ("{block}")')]
    return []
