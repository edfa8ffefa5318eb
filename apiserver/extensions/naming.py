"""Are the names of a definition free? The answer is its conditions NamesAccepted and Established."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubarium.api.apiextensions import approval
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, copy, spec_of, status_of

ESTABLISHED, NAMES_ACCEPTED = "Established", "NamesAccepted"
_SINGLE = ("plural", "singular", "kind", "listKind")


def judged(definition: Object, others: Iterable[Object], now: datetime) -> Object:
    """The status that the definition should have, given all others of its group."""
    taken_resources, taken_kinds = _taken(definition, others)
    wanted, status = spec_of(definition)["names"], copy(status_of(definition))
    accepted = dict(status.get("acceptedNames") or {})
    problem = None
    for name in ("plural", "singular", "shortNames", "kind", "listKind", "categories"):
        taken = taken_kinds if name in ("kind", "listKind") else taken_resources
        values = wanted.get(name) or ([] if name in ("shortNames", "categories") else "")
        conflicts = []
        if name != "categories":
            single = name in _SINGLE
            own = [accepted.get(name)] if single else accepted.get(name) or []
            conflicts = [v for v in ([values] if single else values) if v in taken and v not in own]
        if conflicts:
            reason = name[:1].upper() + name[1:] + "Conflict"
            problem = (reason, f'"{conflicts[0]}" is already in use')  # the last one is told
        elif values:
            accepted[name] = values
        else:
            accepted.pop(name, None)
    accepted.setdefault("plural", "")
    accepted.setdefault("kind", "")
    status["acceptedNames"] = accepted
    status["conditions"] = found = status.get("conditions") or []
    if (approved := approval.condition(definition)) is not None:
        conditions.set_condition(found, approved, now)
    _judge(found, problem, now)
    return status


def _judge(found: list[Object], problem: tuple[str, str] | None, now: datetime) -> None:
    if problem is None:
        conditions.set_condition(
            found, _condition(NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found"), now
        )
        if not _is_true(found, ESTABLISHED):
            text = "the initial names have been accepted"
            conditions.set_condition(
                found, _condition(ESTABLISHED, "True", "InitialNamesAccepted", text), now
            )
        return
    conditions.set_condition(found, _condition(NAMES_ACCEPTED, "False", *problem), now)
    if not _is_true(found, ESTABLISHED):
        text = "not all names are accepted"
        conditions.set_condition(found, _condition(ESTABLISHED, "False", "NotAccepted", text), now)


def _condition(type: str, status: str, reason: str, message: str) -> Object:
    return {"type": type, "status": status, "reason": reason, "message": message}


def _is_true(found: list[Object], type: str) -> bool:
    return (conditions.find(found, type) or {}).get("status") == "True"


def _taken(definition: Object, others: Iterable[Object]) -> tuple[set[str], set[str]]:
    """The names that definitions of the group have, in upstream also this one: no name may stand for two things."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if spec_of(other).get("group") != spec_of(definition)["group"]:
            continue
        names = status_of(other).get("acceptedNames") or {}
        resources |= {
            names.get("plural") or "",
            names.get("singular") or "",
            *(names.get("shortNames") or ()),
        }
        kinds |= {names.get("kind") or "", names.get("listKind") or ""}
    return resources - {""}, kinds - {""}


def is_established(definition: Object) -> bool:
    """Is the resource served?"""
    return conditions.is_true(definition, ESTABLISHED)
