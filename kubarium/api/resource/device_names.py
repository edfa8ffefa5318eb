"""Names around devices: drivers, pools, attributes."""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required, too_long

MAX_DRIVER_NAME = 63
MAX_IDENTIFIER = 32
MAX_POOL_NAME = 253
_IDENTIFIER_RULE = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
    "'[A-Za-z_][A-Za-z0-9_]*')"
)


def qualified_errors(path: FieldPath, name: str) -> list[FieldError]:
    """`domain/identifier`."""
    domain, slash, identifier = (name or "").rpartition("/")
    if not name:
        return [required(path, "name required")]
    if not slash:
        return [invalid(path, name, "must include a domain")]
    found = [invalid(path, domain, text) for text in names.dns_subdomain_errors(domain)]
    return found + identifier_errors(path, identifier)


def identifier_errors(path: FieldPath, name: str) -> list[FieldError]:
    """A name of a device's attribute without its domain."""
    if not name:
        return [required(path)]
    if len(name) > MAX_IDENTIFIER:
        return [too_long(path, MAX_IDENTIFIER)]
    if not (name[0].isalpha() or name[0] == "_") or not name.replace("_", "a").isalnum():
        return [invalid(path, name, _IDENTIFIER_RULE)]
    return []


def driver_errors(path: FieldPath, name: str | None) -> list[FieldError]:
    """A short name in the form of a domain."""
    found = [too_long(path, MAX_DRIVER_NAME)] if len(name or "") > MAX_DRIVER_NAME else []
    return found + rules.named(path, name, names.dns_subdomain_errors)


def pool_errors(path: FieldPath, name: str | None) -> list[FieldError]:
    """Domains separated by slashes."""
    if not name:
        return [required(path)]
    found = [too_long(path, MAX_POOL_NAME)] if len(name) > MAX_POOL_NAME else []
    return found + [
        invalid(path, part, text) for part in name.split("/") for text in names.dns_subdomain_errors(part)
    ]
