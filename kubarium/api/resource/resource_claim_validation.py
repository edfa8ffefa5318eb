"""ResourceClaim, its template, and DeviceClass: devices that a workload asks for.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Callable

from kubarium.api.resource import device_selector
from kubarium.api.resource.device_names import driver_errors, pool_errors, qualified_errors
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.cel.compiler import CompileError
from kubarium.apimachinery.field_path import (
    SPEC,
    STATUS,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from kubarium.apimachinery.object import Object, is_deleting

MOST = 32  # requests, constraints, configurations, selectors
MOST_ALTERNATIVES = 8
MOST_CONSUMERS = 256
MAX_EXPRESSION = 10 * 1024  # bytes
MODES = ("All", "ExactCount")
_UNKNOWN_REQUEST = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


def fill_defaults(claim: Object) -> None:
    """One device for each request that does not say how many."""
    fill_spec(claim.get("spec") or {})


def fill_template_defaults(template: Object) -> None:
    """The same for the claims that come from a template."""
    fill_spec((template.get("spec") or {}).get("spec") or {})


def fill_spec(spec: Object) -> None:
    """What absent fields of requests mean."""
    for request in (spec.get("devices") or {}).get("requests") or []:
        for wish in [request.get("exactly"), *(request.get("firstAvailable") or [])]:
            if wish is None:
                continue
            if not wish.get("allocationMode"):
                wish["allocationMode"] = "ExactCount"
            if wish["allocationMode"] == "ExactCount" and not wish.get("count"):
                wish["count"] = 1
            for toleration in wish.get("tolerations") or []:
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"


# ---- claims


def validate(claim: Object) -> list[FieldError]:
    """Requests, constraints and configuration."""
    return validate_spec(claim.get("spec") or {}, SPEC)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The wish stays as it was."""
    return [*immutable(SPEC, new.get("spec"), old.get("spec")), *validate(new)]


def validate_template(template: Object) -> list[FieldError]:
    """The wish inside of a template."""
    return validate_spec((template.get("spec") or {}).get("spec") or {}, SPEC / "spec")


def validate_template_update(new: Object, old: Object) -> list[FieldError]:
    """A template stays as it was."""
    return [*immutable(SPEC, new.get("spec"), old.get("spec")), *validate_template(new)]


def validate_spec(spec: Object, path: FieldPath) -> list[FieldError]:
    """Every request has a name and one wish; constraints and configuration speak of requests that exist."""
    devices = spec.get("devices") or {}
    at = path / "devices"
    requests = devices.get("requests") or []
    found = _bounded(requests, at / "requests", _request)
    seen: set[str] = set()
    for index, request in enumerate(requests):
        name = request.get("name") or ""
        if name and name in seen:
            found.append(duplicate(at / "requests" % index / "name", name))
        seen.add(name)
    known = _request_names(requests)
    found += _bounded(
        devices.get("constraints") or [],
        at / "constraints",
        lambda one, where: _constraint(one, where, known),
    )
    found += _bounded(
        devices.get("config") or [],
        at / "config",
        lambda one, where: _named_requests(one, where, known) + _configuration(one, where),
    )
    return found


def _request_names(requests: list[Object]) -> set[str]:
    found: set[str] = set()
    for request in requests:
        name = request.get("name") or ""
        found.add(name)
        found |= {f"{name}/{wish.get('name')}" for wish in request.get("firstAvailable") or []}
    return found


def _bounded(
    items: list[Object],
    path: FieldPath,
    check: Callable[[Object, FieldPath], list[FieldError]],
    most: int = MOST,
) -> list[FieldError]:
    if len(items) > most:
        return [too_many(path, len(items), most)]
    return [error for index, item in enumerate(items) for error in check(item, path % index)]


def _request(request: Object, path: FieldPath) -> list[FieldError]:
    found = rules.named(path / "name", request.get("name"), names.dns_label_errors)
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is None and not alternatives:
        found.append(required(path, "exactly one of `exactly` or `firstAvailable` is required"))
    elif exactly is not None and alternatives:
        found.append(
            invalid(
                path,
                None,
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            )
        )
    if exactly is not None:
        found += _wish(exactly, path / "exactly")
    at = path / "firstAvailable"
    found += _bounded(alternatives, at, _alternative, MOST_ALTERNATIVES)
    told = [wish.get("name") for wish in alternatives]
    found += [duplicate(at % i / "name", name) for i, name in enumerate(told) if name and name in told[:i]]
    return found


def _alternative(wish: Object, path: FieldPath) -> list[FieldError]:
    return [*rules.named(path / "name", wish.get("name"), names.dns_label_errors), *_wish(wish, path)]


def _wish(wish: Object, path: FieldPath) -> list[FieldError]:
    found = rules.named(path / "deviceClassName", wish.get("deviceClassName"), names.dns_subdomain_errors)
    found += _bounded(wish.get("selectors") or [], path / "selectors", _selector)
    mode, count = wish.get("allocationMode"), wish.get("count") or 0
    if mode == "All" and count:
        why = f"must not be specified when allocationMode is '{mode}'"
        found.append(invalid(path / "count", count, why))
    elif mode == "ExactCount" and count <= 0:
        found.append(invalid(path / "count", count, "must be greater than zero"))
    elif mode not in MODES:
        found.append(not_supported(path / "allocationMode", mode, MODES))
    for index, toleration in enumerate(wish.get("tolerations") or []):
        found += _toleration(toleration, path / "tolerations" % index)
    return found


def _toleration(toleration: Object, path: FieldPath) -> list[FieldError]:
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    found = rules.if_named(path / "key", key, names.qualified_name_errors)
    if operator == "Exists":
        if toleration.get("value"):
            found.append(invalid(path / "value", toleration["value"], "must be empty for operator `Exists`"))
    elif operator == "Equal":
        if not key:
            found.append(required(path / "key"))
        found += rules.if_named(path / "value", toleration.get("value"), names.label_value_errors)
    else:
        found += rules.one_of(path / "operator", operator, ("Equal", "Exists"))
    return found + rules.if_one_of(
        path / "effect", toleration.get("effect") or None, ("NoExecute", "NoSchedule", "None")
    )


def _selector(selector: Object, path: FieldPath) -> list[FieldError]:
    if selector.get("cel") is None:
        return [required(path / "cel")]
    expression = selector["cel"].get("expression") or ""
    at = path / "cel" / "expression"
    if not expression:
        return [required(at)]
    if len(expression) > MAX_EXPRESSION:
        return [too_long(at, MAX_EXPRESSION)]
    try:
        device_selector.compiled(expression)
    except CompileError as error:
        return [invalid(at, expression, str(error))]
    return []


def _constraint(constraint: Object, path: FieldPath, known: set[str]) -> list[FieldError]:
    found = _named_requests(constraint, path, known)
    attribute = constraint.get("matchAttribute")
    distinct = constraint.get("distinctAttribute")
    if attribute is None and distinct is None:
        return [*found, required(path, 'exactly one of "matchAttribute" or "distinctAttribute" is required')]
    name = "matchAttribute" if attribute is not None else "distinctAttribute"
    return found + qualified_errors(path / name, attribute or distinct or "")


def _named_requests(holder: Object, path: FieldPath, known: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    told = holder.get("requests") or []
    for index, name in enumerate(told):
        at = path / "requests" % index
        if name not in known:
            found.append(
                invalid(
                    at,
                    name,
                    _UNKNOWN_REQUEST,
                )
            )
        if name in told[:index]:
            found.append(duplicate(at, name))
    return found


def _configuration(configuration: Object, path: FieldPath) -> list[FieldError]:
    opaque = configuration.get("opaque")
    if opaque is None:
        return [required(path, "exactly one field must be specified")]
    found = driver_errors(path / "opaque" / "driver", opaque.get("driver"))
    if opaque.get("parameters") is None:
        found.append(required(path / "opaque" / "parameters"))
    elif not isinstance(opaque["parameters"], dict):
        found.append(
            invalid(path / "opaque" / "parameters", "<value omitted>", "must be a valid JSON object")
        )
    return found


# ---- what became of a claim


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """Users of an allocated claim may come and go; the allocation itself is made once."""
    status, before = new.get("status") or {}, old.get("status") or {}
    found: list[FieldError] = []
    reserved, allocation = status.get("reservedFor") or [], status.get("allocation")
    at = STATUS / "reservedFor"
    if len(reserved) > MOST_CONSUMERS:
        found.append(too_many(at, len(reserved), MOST_CONSUMERS))
    uids = [user.get("uid") for user in reserved]
    for index, user in enumerate(reserved):
        for field in ("resource", "name", "uid"):
            if not user.get(field):
                found.append(required(at % index / field))
        if user.get("uid") in uids[:index]:
            found.append(duplicate(at % index / "uid", user.get("uid")))
    if reserved and not allocation:
        found.append(forbidden(at, "may not be specified when `allocated` is not set"))
    if reserved and is_deleting(new) and any(uid not in _uids(before) for uid in uids):
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        found.append(forbidden(at, why))
    if allocation and before.get("allocation"):
        found += immutable(STATUS / "allocation", allocation, before["allocation"])
    elif allocation:
        found += _allocation(allocation, STATUS / "allocation", _request_names(_requests_of(new)))
    return found


def _uids(status: Object) -> set[str]:
    return {user.get("uid") or "" for user in status.get("reservedFor") or []}


def _requests_of(claim: Object) -> list[Object]:
    listed: list[Object] = ((claim.get("spec") or {}).get("devices") or {}).get("requests") or []
    return listed


def _allocation(allocation: Object, path: FieldPath, known: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    for index, result in enumerate((allocation.get("devices") or {}).get("results") or []):
        at = path / "devices" / "results" % index
        if result.get("request") not in known:
            found.append(invalid(at / "request", result.get("request") or "", _UNKNOWN_REQUEST))
        found += driver_errors(at / "driver", result.get("driver"))
        found += pool_errors(at / "pool", result.get("pool"))
        found += rules.named(at / "device", result.get("device"), names.dns_label_errors)
    return found


# ---- classes


def validate_class(device_class: Object) -> list[FieldError]:
    """Selectors and configuration that are whole."""
    spec = device_class.get("spec") or {}
    found = _bounded(spec.get("selectors") or [], SPEC / "selectors", _selector)
    return found + _bounded(spec.get("config") or [], SPEC / "config", _configuration)


def validate_class_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate_class(new)
