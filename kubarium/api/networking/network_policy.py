"""NetworkPolicy: who may talk to whom."""

from __future__ import annotations

from kubarium.apimachinery.field_path import SPEC, FieldError
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object


def fill_defaults(policy: Object) -> None:
    """Ports are TCP; a policy is about what comes in, and about what goes out when it says so."""
    spec = policy.setdefault("spec", {})
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            if not port.get("protocol"):
                port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(policy: Object) -> list[FieldError]:
    """The selector of pods."""
    return validate_label_selector((policy.get("spec") or {}).get("podSelector"), SPEC / "podSelector")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)
