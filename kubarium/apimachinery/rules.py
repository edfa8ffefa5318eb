"""Rules that fields of many kinds share: amounts, addresses, ports, durations, condition lists.

Each function returns the errors of one field, none if it is right. The wording is that of
`k8s.io/apimachinery/pkg/util/validation` and `k8s.io/kubernetes/pkg/apis/core/validation`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from kubarium.apimachinery.object import Object

NOT_NEGATIVE = "must be greater than or equal to 0"
NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_BLOCK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def not_negative(holder: Object, path: FieldPath, *fields: str) -> list[FieldError]:
    """Each of these numbers, where given, is at least 0."""
    return [
        invalid(path / name, holder[name], NOT_NEGATIVE) for name in fields if (holder.get(name) or 0) < 0
    ]


def named(path: FieldPath, value: str | None, rule: Callable[[str], list[str]]) -> list[FieldError]:
    """A name that must be there and obey the rule."""
    if not value:
        return [required(path)]
    return [invalid(path, value, text) for text in rule(value)]


def if_named(path: FieldPath, value: str | None, rule: Callable[[str], list[str]]) -> list[FieldError]:
    """A name that may be left out."""
    return [invalid(path, value, text) for text in rule(value)] if value else []


def if_given(path: FieldPath, value: str | None, rule: Callable[[str], list[str]]) -> list[FieldError]:
    """A name that may be null, but not empty: what is a pointer in upstream's types."""
    return [] if value is None else [invalid(path, value, text) for text in rule(value)]


def one_of(
    path: FieldPath, value: Any, allowed: Collection[str], *, in_order: bool = False
) -> list[FieldError]:
    """A word out of a list, and it must be there; upstream shows most lists sorted, some `in_order`."""
    if not value:
        return [required(path)]
    return [] if value in allowed else [not_supported(path, value, allowed if in_order else sorted(allowed))]


def if_one_of(path: FieldPath, value: Any, allowed: Collection[str]) -> list[FieldError]:
    """A word out of a list where one is given."""
    return [] if value is None or value in allowed else [not_supported(path, value, sorted(allowed))]


def unique(path: FieldPath, values: Iterable[Any]) -> list[FieldError]:
    """No value stands twice in the list."""
    seen: set[Any] = set()
    found: list[FieldError] = []
    for index, value in enumerate(values):
        if value in seen:
            found.append(duplicate(path % index, value))
        seen.add(value)
    return found


# ---- amounts


def share(path: FieldPath, value: Any) -> list[FieldError]:
    """A count of at least 0, or a percentage."""
    if isinstance(value, str):
        return [] if re.fullmatch("[0-9]+%", value) else [invalid(path, value, _PERCENT)]
    return [invalid(path, value, NOT_NEGATIVE)] if (value or 0) < 0 else []


def at_most_all(path: FieldPath, value: Any) -> list[FieldError]:
    """A percentage of not more than 100."""
    if isinstance(value, str) and re.fullmatch("[0-9]+%", value) and int(value[:-1]) > 100:
        return [invalid(path, value, "must not be greater than 100%")]
    return []


def is_nothing(value: Any) -> bool:
    """Is it zero, in whichever way it is written?"""
    return value is None or value == 0 or (isinstance(value, str) and value.strip("%").strip("0") == "")


def amount_not_negative(path: FieldPath, amount: Any) -> list[FieldError]:
    """A quantity of at least 0."""
    return [invalid(path, amount, NOT_NEGATIVE)] if quantity.compare(amount, 0) < 0 else []


def amount_of(path: FieldPath, name: str, amount: Any) -> list[FieldError]:
    """A quantity of this resource: of at least 0, and whole if the resource is counted."""
    found = amount_not_negative(path, amount)
    if (name in COUNTED or ("/" in name and "kubernetes.io/" not in name)) and quantity.milli_value(
        amount
    ) % 1000:
        found.append(invalid(path, amount, NOT_WHOLE))
    return found


COUNTED = frozenset(
    {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
     "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}
)  # fmt: skip
"""Resources of which there are only whole ones."""
NOT_WHOLE = "must be an integer"


# ---- networks


def address(path: FieldPath, text: Any) -> list[FieldError]:
    """An IP address of either family."""
    return [] if is_address(text) else [invalid(path, text, NOT_AN_ADDRESS)]


def address_of(path: FieldPath, text: Any, family: str) -> list[FieldError]:
    """An IP address of the family `IPv4` or `IPv6`."""
    if not is_address(text):
        return [invalid(path, text, NOT_AN_ADDRESS)]
    return [] if family_of(text) == family else [invalid(path, text, f"must be an {family} address")]


def reachable_address(path: FieldPath, text: str, *, here: bool = False) -> list[FieldError]:
    """An address that traffic can be sent to from elsewhere, or at least from `here`: the same machine."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return [invalid(path, text, NOT_AN_ADDRESS)]
    if ip.is_unspecified:
        return [invalid(path, text, "may not be unspecified (0.0.0.0 or ::)")]
    if ip.is_loopback and not here:
        return [invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")]
    if ip.is_link_local:
        return [invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    if any(ip in block for block in _LINK_LOCAL_MULTICAST if block.version == ip.version):
        return [invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    return []


_LINK_LOCAL_MULTICAST = (
    ipaddress.ip_network("224.0.0.0/24"),
    ipaddress.ip_network("ff02::/16"),
)


def address_block(path: FieldPath, text: Any) -> list[FieldError]:
    """A range of addresses in CIDR form."""
    return [] if block_of(text) is not None else [invalid(path, text, NOT_A_BLOCK)]


def block_of(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The range that a CIDR text names, host bits ignored."""
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except (ValueError, TypeError):
        return None


def is_address(text: Any) -> bool:
    """Is the text an IP address?"""
    try:
        return bool(ipaddress.ip_address(text)) or True
    except ValueError:
        return False


def family_of(text: str) -> str:
    """`IPv4` or `IPv6`."""
    return "IPv6" if ":" in text else "IPv4"


def port_number(path: FieldPath, number: Any) -> list[FieldError]:
    """A number between 1 and 65535."""
    return (
        []
        if 1 <= (number or 0) <= 65535
        else [invalid(path, number or 0, "must be between 1 and 65535, inclusive")]
    )


def port(path: FieldPath, value: Any) -> list[FieldError]:
    """A port by number or by name."""
    if isinstance(value, str):
        return [invalid(path, value, text) for text in names.port_name_errors(value)]
    return port_number(path, value)


# ---- conditions


_STATUSES = ("False", "True", "Unknown")
_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


def conditions(path: FieldPath, listed: list[Object]) -> list[FieldError]:
    """A list of `metav1.Condition`: whole, and one of each type."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(listed):
        at = path % index
        kind = condition.get("type") or ""
        if kind in seen:
            found.append(duplicate(at / "type", kind))
        seen.add(kind)
        found += named(at / "type", kind, names.qualified_name_errors)
        if condition.get("status") not in _STATUSES:
            found.append(not_supported(at / "status", condition.get("status") or "", _STATUSES))
        found += not_negative(condition, at, "observedGeneration")
        if not condition.get("lastTransitionTime"):
            found.append(required(at / "lastTransitionTime", "must be set"))
        found += _reason(at / "reason", condition.get("reason") or "")
        if len(condition.get("message") or "") > 32768:
            found.append(too_long(at / "message", 32768))
    return found


def _reason(path: FieldPath, reason: str) -> list[FieldError]:
    if not reason:
        return [required(path)]
    found = [too_long(path, 1024)] if len(reason) > 1024 else []
    if not _REASON.fullmatch(reason):
        rule = (
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
            "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  "
            "or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', "
            f"regex used for validation is '{_REASON.pattern}')"
        )
        found.append(invalid(path, reason, rule))
    return found


# ---- parameters of storage


def parameters(path: FieldPath, given: Mapping[str, str]) -> list[FieldError]:
    """Free-form settings of a storage driver: not too many, not too large, none without a name."""
    if len(given) > 512:
        return [too_many(path, len(given), 512)]
    found = [invalid(path, key, "field can not be empty.") for key in given if not key]
    if sum(len(key) + len(value or "") for key, value in given.items()) > 256 * 1024:
        found.append(too_long(path, 256 * 1024))
    return found
