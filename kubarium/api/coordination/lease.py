"""Lease: who holds something, and until when. Heartbeats of nodes and leader elections are made of it."""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import SPEC, FieldError, forbidden, invalid, not_supported
from kubarium.apimachinery.object import Object

STRATEGIES = ("OldestEmulationVersion",)


def validate(lease: Object) -> list[FieldError]:
    """A positive duration; a preferred holder only where a strategy chooses it."""
    spec = lease.get("spec") or {}
    found: list[FieldError] = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        found.append(invalid(SPEC / "leaseDurationSeconds", seconds, "must be greater than 0"))
    found += rules.not_negative(spec, SPEC, "leaseTransitions")
    strategy = spec.get("strategy")
    if strategy is not None:
        at = SPEC / "strategy" / "strategy"
        if "/" in strategy:
            found += [invalid(at, strategy, text) for text in names.qualified_name_errors(strategy)]
        elif strategy not in STRATEGIES:
            found.append(not_supported(at, strategy, STRATEGIES))
    if spec.get("preferredHolder") and not strategy:
        found.append(forbidden(SPEC / "preferredHolder", "may only be specified if `strategy` is defined"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)
