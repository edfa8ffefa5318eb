"""Label and field selectors of lists and watches, as a question to ask of each stored object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apiserver.registry.resource import Resource
from apiserver.request import RequestInfo
from apiserver.storage.interface import NO_HINTS, Hints, Predicate, Stored
from kubarium.apimachinery import errors, fields, labels
from kubarium.apimachinery.fields import METADATA_FIELDS, FieldRequirement

_NODE_NAME = "spec.nodeName"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch shall contain. No predicate: everything."""

    predicate: Predicate | None = None
    hints: Hints = NO_HINTS


EVERYTHING = Selection()


def selection_of(row: Resource, info: RequestInfo) -> Selection:
    """The selectors of a request. Raises BadRequest."""
    if not info.label_selector and not info.field_selector and not info.name:
        return EVERYTHING
    try:
        by_label = labels.parse(info.label_selector)
        by_field = fields.parse(info.field_selector)
    except (labels.ParseError, fields.ParseError) as error:
        raise errors.BadRequest(str(error)) from None
    check_fields(row, by_field)
    if info.name and by_field.exact("metadata.name") is None:  # the old form: /api/v1/watch/…/pods/web
        by_field = fields.FieldSelector(
            (*by_field.requirements, FieldRequirement("metadata.name", info.name))
        )
    tests = [_field_test(row, requirement) for requirement in by_field.requirements]
    if not by_label.is_everything:
        tests.append(_label_test(by_label))
    node_name = by_field.exact(_NODE_NAME) if row.plural == "pods" and not row.group else None
    exact = tuple((one.key, one.values[0]) for one in by_label.requirements if one.operator == "=")
    return Selection(_all_of(tests), Hints(by_field.exact("metadata.name"), node_name, exact))


def check_fields(row: Resource, selector: fields.FieldSelector) -> None:
    """Only declared fields can be selected. Raises BadRequest with upstream's words."""
    known = row.strategy.selectable_fields
    for requirement in selector.requirements:
        if requirement.field in METADATA_FIELDS or requirement.field in known:
            continue
        if known or row.custom is not None:
            raise errors.BadRequest(f"field label not supported: {requirement.field}")
        names = ", ".join(f'"{name}"' for name in ("metadata.name", "metadata.namespace", *sorted(known)))
        raise errors.BadRequest(f'"{requirement.field}" is not a known field selector: only {names}')


def _all_of(tests: list[Predicate]) -> Predicate | None:
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda stored: all(test(stored) for test in tests)


def _label_test(selector: labels.Selector) -> Predicate:
    if len(selector.requirements) == 1 and selector.requirements[0].operator == "=":
        key, value = selector.requirements[0].key, selector.requirements[0].values[0]
        return lambda stored: stored.labels.get(key) == value
    matches = selector.matches
    return lambda stored: matches(stored.labels)


def _field_test(row: Resource, requirement: FieldRequirement) -> Predicate:
    value, equals = requirement.value, requirement.equals
    read = _field_reader(row, requirement.field)
    return (lambda stored: read(stored) == value) if equals else (lambda stored: read(stored) != value)


def _field_reader(row: Resource, field: str) -> Callable[[Stored], str]:
    if field == "metadata.name":
        return lambda stored: stored.name
    if field == "metadata.namespace":
        return _namespace if row.namespaced else lambda stored: ""
    if field == _NODE_NAME and row.plural == "pods" and not row.group:
        return lambda stored: stored.node_name
    getters = row.strategy.selectable_fields
    return lambda stored: stored.fields(getters)[field]


def _namespace(stored: Stored) -> str:
    return stored.key.rsplit("/", 2)[1]
