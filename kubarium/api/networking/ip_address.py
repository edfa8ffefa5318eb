"""IPAddress: an address of a Service that is taken; its name is the address.

Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects
"""

from __future__ import annotations

import ipaddress

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import SPEC, FieldError, immutable, required
from kubarium.apimachinery.object import Object


def name_errors(name: str) -> list[str]:
    """An address in the one form in which it is written."""
    if not rules.is_address(name):
        return [rules.NOT_AN_ADDRESS]
    canonical = str(ipaddress.ip_address(name))
    return [] if canonical == name else [f'must be in canonical form ("{canonical}")']


def validate(address: Object) -> list[FieldError]:
    """A whole reference to the parent."""
    parent = (address.get("spec") or {}).get("parentRef")
    at = SPEC / "parentRef"
    if parent is None:
        return [required(at)]
    return [
        *rules.if_named(at / "group", parent.get("group"), names.dns_subdomain_errors),
        *rules.named(at / "resource", parent.get("resource"), names.path_segment_errors),
        *rules.named(at / "name", parent.get("name"), names.path_segment_errors),
        *rules.if_named(at / "namespace", parent.get("namespace"), names.path_segment_errors),
    ]


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The parent stays."""
    after, before = (new.get("spec") or {}).get("parentRef"), (old.get("spec") or {}).get("parentRef")
    return [*validate(new), *immutable(SPEC / "parentRef", after, before)]
