"""Managed fields that a client sent: what can be read of them, and what is wrong with it.

Tools write them: kubectl when it goes over to server-side apply, whatever brings back what it has saved.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery.apply import field_set
from kubarium.apimachinery.field_path import METADATA, FieldError, FieldPath, invalid, too_long
from kubarium.apimachinery.object import Object

_MOST_OF_A_NAME = 128  # bytes of a manager's name
_MOST_OF_A_SUBRESOURCE = 256


def read(sent: Sequence[Object]) -> list[Object]:
    """The entries as they are kept. Raises ValueError if one of them makes no sense.

    Source: `DecodeManagedFields` of k8s.io/apimachinery.
    """
    return [_read_entry(entry) for entry in sent]


def _read_entry(entry: Object) -> Object:
    known = entry.get("operation") in ("Apply", "Update") and entry.get("fieldsType") == "FieldsV1"
    if not known or not entry.get("apiVersion"):
        raise ValueError("not an entry of managed fields")
    plain = {key: value for key, value in entry.items() if value != ""}
    return plain | {"fieldsV1": field_set.read(entry.get("fieldsV1"))}


def errors_of(entries: Sequence[Object]) -> list[FieldError]:
    """What is wrong with entries that could be read."""
    errors: list[FieldError] = []
    for index, entry in enumerate(entries):
        where = METADATA / "managedFields" % index
        errors += name_errors(entry.get("manager") or "", where / "manager")
        if len(entry.get("subresource") or "") > _MOST_OF_A_SUBRESOURCE:
            errors.append(too_long(where / "subresource", _MOST_OF_A_SUBRESOURCE))
    return errors


def name_errors(manager: str, path: FieldPath) -> list[FieldError]:
    """Managers' names are short and printable."""
    found = [too_long(path, _MOST_OF_A_NAME)] if len(manager.encode()) > _MOST_OF_A_NAME else []
    if not manager.isprintable():
        for index, character in enumerate(manager):
            if not character.isprintable():
                at = len(manager[:index].encode())
                text = f"invalid character U+{ord(character):04X} (at position {at})"
                found.append(invalid(path, manager, text))
    return found
