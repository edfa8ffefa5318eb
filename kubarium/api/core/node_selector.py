"""Node selectors: terms of labels and fields, as pods and volumes have them.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden, invalid, required
from kubarium.apimachinery.object import Object

_NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")


def validate_term(term: Object, path: FieldPath) -> list[FieldError]:
    """One term: what its labels and its fields must be."""
    found: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or []):
        at = path / "matchExpressions" % index
        operator, values = expression.get("operator") or "", expression.get("values") or []
        if operator in ("In", "NotIn") and not values:
            found.append(required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            found.append(
                forbidden(at / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            )
        elif operator in ("Gt", "Lt") and len(values) != 1:
            found.append(
                required(at / "values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
            )
        elif operator not in _NODE_OPERATORS:
            found.append(invalid(at / "operator", operator, "not a valid selector operator"))
        key = expression.get("key") or ""
        found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
    for index, expression in enumerate(term.get("matchFields") or []):
        found += _node_field(expression or {}, path / "matchFields" % index)
    return found


def _node_field(expression: Object, path: FieldPath) -> list[FieldError]:
    """The only field of a node that can be selected is its name, and only one at a time."""
    operator, values = expression.get("operator") or "", expression.get("values") or []
    found: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        found.append(invalid(path / "operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.append(required(path / "values", why))
    key = expression.get("key") or ""
    if key != "metadata.name":
        return [*found, invalid(path / "key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        found += [
            invalid(path / "values" % index, value, text) for text in names.dns_subdomain_errors(value or "")
        ]
    return found


def validate(selector: Object, path: FieldPath) -> list[FieldError]:
    """Terms of node labels and fields, at least one."""
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        return [required(path / "nodeSelectorTerms", "must have at least one node selector term")]
    return [
        error
        for index, term in enumerate(terms)
        for error in validate_term(term or {}, (path / "nodeSelectorTerms") % index)
    ]
