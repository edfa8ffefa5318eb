"""What makes a Job's rules about failure and success invalid."""

from __future__ import annotations

from kubarium.apimachinery import names, rules
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

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
MOST_RULES, MOST_EXIT_CODES, MOST_PATTERNS = 20, 255, 20
MAX_INDEXES = 64 * 1024  # bytes of `succeededIndexes`


def validate_failure_policy(spec: Object, path: FieldPath) -> list[FieldError]:
    """Each rule has an action and speaks of exit codes or of conditions."""
    listed = (spec.get("podFailurePolicy") or {}).get("rules") or []
    if len(listed) > MOST_RULES:
        return [too_many(path / "rules", len(listed), MOST_RULES)]
    pod = (spec.get("template") or {}).get("spec") or {}
    known = {
        container.get("name") or ""
        for part in ("containers", "initContainers")
        for container in pod.get(part) or []
    }
    found: list[FieldError] = []
    for index, rule in enumerate(listed):
        found += _failure_rule(rule, spec, known, path / "rules" % index)
    return found


def _failure_rule(rule: Object, spec: Object, known: set[str], path: FieldPath) -> list[FieldError]:
    action = rule.get("action") or ""
    if not action:
        found = [required(path / "action", f"valid values: {_quoted(ACTIONS)}")]
    elif action not in ACTIONS:
        found = [not_supported(path / "action", action, ACTIONS)]
    elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        found = [invalid(path / "action", action, "requires the backoffLimitPerIndex to be set")]
    else:
        found = []
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        found += _exit_codes(codes, known, path / "onExitCodes")
    if patterns:
        found += _patterns(patterns, path / "onPodConditions")
    if codes is not None and patterns:
        found.append(_bare(path, "specifying both OnExitCodes and OnPodConditions is not supported"))
    if codes is None and not patterns:
        found.append(_bare(path, "specifying one of OnExitCodes and OnPodConditions is required"))
    return found


def _bare(path: FieldPath, detail: str) -> FieldError:
    """An invalid value that is not shown."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {detail}")


def _quoted(words: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{word}"' for word in words) + "]"


def _exit_codes(codes: Object, known: set[str], path: FieldPath) -> list[FieldError]:
    operator = codes.get("operator") or ""
    found = rules.one_of(path / "operator", operator, ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in known:
        why = "must be one of the container or initContainer names in the pod template"
        found.append(invalid(path / "containerName", name, why))
    values = codes.get("values") or []
    at = path / "values"
    if not values:
        found.append(invalid(at, values, "at least one value is required"))
    elif len(values) > MOST_EXIT_CODES:
        found.append(too_many(at, len(values), MOST_EXIT_CODES))
    if values != sorted(values):
        found.append(invalid(at, values, "must be ordered"))
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(invalid(at % index, value, "must not be 0 for the In operator"))
        if value in values[:index]:
            found.append(duplicate(at % index, value))
    return found


def _patterns(patterns: list[Object], path: FieldPath) -> list[FieldError]:
    if len(patterns) > MOST_PATTERNS:
        return [too_many(path, len(patterns), MOST_PATTERNS)]
    found: list[FieldError] = []
    for index, pattern in enumerate(patterns):
        at = path % index
        found += rules.named(at / "type", pattern.get("type"), names.qualified_name_errors)
        found += rules.one_of(at / "status", pattern.get("status"), ("False", "True", "Unknown"))
    return found


def validate_success_policy(spec: Object, path: FieldPath) -> list[FieldError]:
    """Only indexed jobs succeed early; each rule names a count, indexes or both."""
    policy = spec.get("successPolicy") or {}
    if spec.get("completionMode") != "Indexed":
        return [invalid(path, policy, "requires indexed completion mode")]
    listed = policy.get("rules") or []
    if not listed:
        why = "at least one rules must be specified when the successPolicy is specified"
        return [required(path / "rules", why)]
    if len(listed) > MOST_RULES:
        return [too_many(path / "rules", len(listed), MOST_RULES)]
    found: list[FieldError] = []
    for index, rule in enumerate(listed):
        found += _success_rule(rule, spec.get("completions"), path / "rules" % index)
    return found


def _success_rule(rule: Object, completions: int | None, path: FieldPath) -> list[FieldError]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        return [required(path, "at least one of succeededCount or succeededIndexes must be specified")]
    found: list[FieldError] = []
    total = None
    if indexes is not None:
        at = path / "succeededIndexes"
        if len(indexes) > MAX_INDEXES:
            found.append(too_long(at, MAX_INDEXES))
        try:
            total = _count_indexes(indexes, completions)
        except ValueError as error:
            found.append(invalid(at, indexes, f"error parsing succeededIndexes: {error}"))
    if count is not None:
        at = path / "succeededCount"
        found += rules.not_negative(rule, path, "succeededCount")
        if completions is not None and count > completions:
            why = f"must be less than or equal to {completions} (the number of specified completions)"
            found.append(invalid(at, count, why))
        if total is not None and count > total:
            why = (
                f"must be less than or equal to {total} "
                "(the number of indexes in the specified succeededIndexes field)"
            )
            found.append(invalid(at, count, why))
    return found


def _count_indexes(text: str, completions: int | None) -> int:
    """How many indexes `1,3-5` names. Raises ValueError where it cannot be read."""
    total, last = 0, -1
    for part in text.split(",") if text else []:
        ends = part.split("-")
        if len(ends) > 2:
            raise ValueError(f"the fragment {part!r} has more than two parts separated by '-'")
        numbers = []
        for end in ends:
            if not end.isdigit():
                raise ValueError(f'cannot convert string to integer for index: "{end}"')
            number = int(end)
            if completions is not None and number >= completions:
                raise ValueError(f"too large index: {end}")
            numbers.append(number)
        if numbers[0] <= last:
            raise ValueError(f"non-increasing order, previous: {last}, current: {numbers[0]}")
        if len(numbers) == 2 and numbers[1] <= numbers[0]:
            raise ValueError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
        total += numbers[-1] - numbers[0] + 1
        last = numbers[-1]
    return total
