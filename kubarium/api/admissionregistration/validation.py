"""What makes webhook configurations, admission policies and their bindings invalid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.api.admissionregistration import expressions
from kubarium.apimachinery import names, webhook_addresses
from kubarium.apimachinery.cel import types
from kubarium.apimachinery.cel.types import Type
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object, name_of, spec_of

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
ACTIONS = ("Audit", "Deny", "Warn")
_NOT_FOUND = ("Deny", "Allow")
MAX_CONDITIONS = 64
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")


def validate_webhooks(configuration: Object) -> list[FieldError]:
    """Each webhook has a name of its own, one address, rules, and says what it does besides."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        path = FieldPath("webhooks") % index
        name = webhook.get("name") or ""
        if name in seen:
            found.append(duplicate(path / "name", name))
        seen.add(name)
        found += _validate_webhook(webhook, path)
    return found


def validate_webhooks_update(new: Object, old: Object) -> list[FieldError]:
    """A changed configuration is judged like a new one."""
    return validate_webhooks(new)


def _validate_webhook(webhook: Object, path: FieldPath) -> list[FieldError]:
    found = _domain(webhook.get("name") or "", path / "name")
    found += _rules(webhook.get("rules") or (), path / "rules")
    for field, allowed in (
        ("failurePolicy", ("Fail", "Ignore")),
        ("matchPolicy", ("Equivalent", "Exact")),
        ("reinvocationPolicy", ("IfNeeded", "Never")),
    ):
        if webhook.get(field) is not None and webhook[field] not in allowed:
            found.append(not_supported(path / field, webhook[field], allowed))
    effects = ("None", "NoneOnDryRun")
    if webhook.get("sideEffects") is None:
        found.append(required(path / "sideEffects", f"must specify one of {', '.join(effects)}"))
    elif webhook["sideEffects"] not in effects:
        found.append(not_supported(path / "sideEffects", webhook["sideEffects"], effects))
    seconds = webhook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        found.append(invalid(path / "timeoutSeconds", seconds, text))
    found += _selectors(webhook, path)
    found += _client_config(webhook.get("clientConfig") or {}, path / "clientConfig")
    found += _conditions(webhook.get("matchConditions") or (), path / "matchConditions")
    versions = webhook.get("admissionReviewVersions") or ()
    return found + _review_versions(versions, path / "admissionReviewVersions")


def _domain(name: str, path: FieldPath) -> list[FieldError]:
    if not name:
        return [required(path)]
    found = [invalid(path, name, problem) for problem in names.dns_subdomain_errors(name)]
    if not found and name.count(".") < 2:
        found.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))
    return found


def _review_versions(versions: Sequence[str], path: FieldPath) -> list[FieldError]:
    if not versions:
        return [required(path, "must specify one of v1, v1beta1")]
    found: list[FieldError] = []
    for index, version in enumerate(version or "" for version in versions):
        if version in versions[:index]:
            found.append(invalid(path % index, version, "duplicate version"))
            continue
        found += [invalid(path % index, version, text) for text in names.dns_1035_errors(version)]
    if not {"v1", "v1beta1"} & set(versions):
        found.append(invalid(path, list(versions), "must include at least one of v1, v1beta1"))
    return found


def _client_config(config: Object, path: FieldPath) -> list[FieldError]:
    url, service = config.get("url"), config.get("service")
    if (url is None) is (service is None):
        return [required(path, "exactly one of url or service is required")]
    if url is not None:
        return list(webhook_addresses.url_errors(url, path / "url"))
    return list(webhook_addresses.service_errors(service or {}, path / "service"))


def _rules(rules: Sequence[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(rules):
        at = path % index
        for field in ("operations", "apiGroups", "apiVersions", "resources"):
            values = rule.get(field) or []
            if not values:
                found.append(required(at / field))
            if field == "apiVersions":
                found += [required(at / field % i) for i, value in enumerate(values) if not value]
            if field == "resources":
                found += _resources(values, at / field)
            elif "*" in values and len(values) > 1:
                found.append(
                    invalid(at / field, values, f"if '*' is present, must not specify other {_WORDS[field]}")
                )
        found += [not_supported(at / "operations" % i, operation, sorted(("*", *OPERATIONS)))
                  for i, operation in enumerate(rule.get("operations") or ())
                  if operation not in (*OPERATIONS, "*")]  # fmt: skip
        if rule.get("scope") not in (None, "*", "Cluster", "Namespaced"):
            found.append(not_supported(at / "scope", rule["scope"], ("*", "Cluster", "Namespaced")))
    return found


def _resources(resources: Sequence[str], path: FieldPath) -> list[FieldError]:
    """None is empty; a wildcard makes those that it includes superfluous."""
    found: list[FieldError] = []
    any_part, any_thing = set[str](), set[str]()
    for index, name in enumerate(resources):
        if not name:
            found.append(required(path % index))
            continue
        thing, slash, part = name.partition("/")
        if not slash:
            continue
        if thing in any_part:
            found.append(invalid(path % index, name, f"if '{thing}/*' is present, must not specify {name}"))
        if part in any_thing:
            found.append(invalid(path % index, name, f"if '*/{part}' is present, must not specify {name}"))
        if part == "*":
            any_part.add(thing)
        if thing == "*":
            any_thing.add(part)
    if len(resources) > 1 and "*/*" in resources:
        found.append(invalid(path, list(resources), "if '*/*' is present, must not specify other resources"))
    plain = [name for name in resources if name and "/" not in name]
    if "*" in plain and plain[-1] != "*":
        text = "if '*' is present, must not specify other resources without subresources"
        found.append(invalid(path, list(resources), text))
    return found


_WORDS = {"operations": "operations", "apiGroups": "API groups", "apiVersions": "API versions"}


def _selectors(match: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for field in ("namespaceSelector", "objectSelector"):
        found += validate_label_selector(match.get(field), path / field)
    return found


def _conditions(
    conditions: Sequence[Object], path: FieldPath, variables: Mapping[str, Type] = expressions.VARIABLES
) -> list[FieldError]:
    if len(conditions) > MAX_CONDITIONS:
        return [too_many(path, len(conditions), MAX_CONDITIONS)]
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = path % index, condition.get("name") or ""
        found += expressions.problems(condition.get("expression"), at / "expression", types.BOOL, variables)
        if not name:
            found.append(required(at / "name"))
        elif name in seen:
            found.append(duplicate(at / "name", name))
        else:
            found += [invalid(at / "name", name, problem) for problem in names.qualified_name_errors(name)]
        seen.add(name)
    return found


def validate_validating_policy(policy: Object) -> list[FieldError]:
    """A policy matches something and says something in CEL that compiles."""
    spec = spec_of(policy)
    found, known = _policy(spec)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        found.append(
            required(SPEC / "validations", "validations or auditAnnotations must contain at least one item")
        )
    for index, validation in enumerate(spec.get("validations") or ()):
        at = SPEC / "validations" % index
        found += expressions.problems(validation.get("expression"), at / "expression", types.BOOL, known)
        if validation.get("messageExpression"):
            text = validation["messageExpression"]
            found += expressions.problems(text, at / "messageExpression", types.STRING, known)
        if validation.get("reason") not in (None, "", *_REASONS):
            found.append(not_supported(at / "reason", validation["reason"], _REASONS))
    for index, annotation in enumerate(spec.get("auditAnnotations") or ()):
        at = SPEC / "auditAnnotations" % index
        found += _annotation_key(annotation.get("key") or "", name_of(policy), at / "key")
        text = annotation.get("valueExpression")
        found += expressions.problems(text, at / "valueExpression", types.STRING, known)
    return found


def validate_mutating_policy(policy: Object) -> list[FieldError]:
    """The same for a policy that changes objects."""
    spec = spec_of(policy)
    found, known = _policy(spec)
    if not spec.get("mutations"):
        found.append(required(SPEC / "mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.get("mutations") or ()):
        at = SPEC / "mutations" % index
        field = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}.get(
            mutation.get("patchType")
        )
        if field is None:
            allowed = ("ApplyConfiguration", "JSONPatch")
            found.append(not_supported(at / "patchType", mutation.get("patchType") or "", allowed))
            continue
        text = (mutation.get(field) or {}).get("expression")
        found += expressions.mutation_problems(text, at / field / "expression", _MUTATED[field], known)
    if spec.get("reinvocationPolicy") not in ("Never", "IfNeeded"):
        found.append(required(SPEC / "reinvocationPolicy"))
    return found


_MUTATED = {"applyConfiguration": "Object", "jsonPatch": "list(JSONPatch)"}


def _annotation_key(key: str, policy: str, path: FieldPath) -> list[FieldError]:
    """Together with the name of the policy it is the name of an audit annotation."""
    if not key:
        return [required(path)]
    return [invalid(path, key, problem) for problem in names.qualified_name_errors(f"{policy}/{key}")]


def _policy(spec: Object) -> tuple[list[FieldError], Mapping[str, Type]]:
    """What all policies have; and what their expressions may speak of."""
    found: list[FieldError] = []
    kind = spec.get("paramKind")
    if kind is not None:
        found += [
            required(SPEC / "paramKind" / field) for field in ("kind", "apiVersion") if not kind.get(field)
        ]
    match = spec.get("matchConstraints")
    if match is None:
        found.append(required(SPEC / "matchConstraints"))
    else:
        found += _match(match, SPEC / "matchConstraints", rules_needed=True)
    known: dict[str, Type] = {**expressions.VARIABLES, **({"params": types.DYN} if kind is not None else {})}
    found += _conditions(spec.get("matchConditions") or (), SPEC / "matchConditions", known)
    more, variables = _variables(spec.get("variables") or (), known)
    return found + more, variables


def _variables(
    variables: Sequence[Object], known: Mapping[str, Type]
) -> tuple[list[FieldError], Mapping[str, Type]]:
    """Each variable may speak of those before it."""
    found: list[FieldError] = []
    fields: dict[str, Type] = {}
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        at, name = SPEC / "variables" % index, variable.get("name") or ""
        scope = {**known, "variables": types.object_of(dict(fields), "kubernetes.variables")}
        if not name.isidentifier():
            text = "name is not a valid CEL identifier"
            found.append(invalid(at / "name", name, text) if name else required(at / "name", text))
        elif name in seen:
            found.append(duplicate(at / "name", name))
        seen.add(name)
        wrong = expressions.problems(variable.get("expression"), at / "expression", variables=scope)
        found += wrong
        fields[name] = (
            types.DYN if wrong else expressions.compile(variable["expression"], variables=scope).result_type
        )
    return found, {**known, "variables": types.object_of(fields, "kubernetes.variables")}


def _match(match: Object, path: FieldPath, *, rules_needed: bool = False) -> list[FieldError]:
    found = _selectors(match, path)
    if rules_needed and not match.get("resourceRules"):
        found.append(required(path / "resourceRules"))
    for field in ("resourceRules", "excludeResourceRules"):
        found += _rules(match.get(field) or (), path / field)
    return found


def validate_validating_binding(binding: Object) -> list[FieldError]:
    """A binding names a policy and says what follows from a failure."""
    spec = spec_of(binding)
    found = _binding(spec)
    actions: list[Any] = spec.get("validationActions") or []
    path = SPEC / "validationActions"
    if not actions:
        found.append(required(path, "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            found.append(not_supported(path % index, action, ACTIONS))
        elif action in actions[:index]:
            found.append(duplicate(path % index, action))
    if "Deny" in actions and "Warn" in actions:
        text = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        found.append(invalid(path, actions, text))
    return found


def validate_mutating_binding(binding: Object) -> list[FieldError]:
    """A binding names a policy."""
    return _binding(spec_of(binding))


def _binding(spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    policy = spec.get("policyName")
    if not policy:
        found.append(required(SPEC / "policyName"))
    else:
        problems = names.dns_subdomain_errors(policy)
        found += [invalid(SPEC / "policyName", policy, problem) for problem in problems]
    if spec.get("paramRef") is not None:
        found += _param_reference(spec["paramRef"], SPEC / "paramRef")
    if spec.get("matchResources") is not None:
        found += _match(spec["matchResources"], SPEC / "matchResources")
    return found


def _param_reference(reference: Object, path: FieldPath) -> list[FieldError]:
    """Parameters are found by one of name and selector, and somebody says what follows where there are none."""
    name, selector = reference.get("name"), reference.get("selector")
    exclusive = "name and selector are mutually exclusive"
    found: list[FieldError] = []
    if name:
        found += [invalid(path / "name", name, problem) for problem in names.path_segment_errors(name)]
        if selector is not None:
            found.append(forbidden(path / "name", exclusive))
    if selector is not None:
        found += validate_label_selector(selector, path / "selector")
        if name:
            found.append(forbidden(path / "selector", exclusive))
    elif not name:
        found.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    if not action:
        found.append(required(path / "parameterNotFoundAction"))
    elif action not in _NOT_FOUND:
        found.append(not_supported(path / "parameterNotFoundAction", action, _NOT_FOUND))
    return found
