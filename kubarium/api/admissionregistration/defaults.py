"""What absent fields of webhook configurations and admission policies mean."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def fill_webhooks(configuration: Object) -> None:
    """Equivalent requests too, ten seconds, failing closed."""
    mutating = configuration.get("kind", "").startswith("Mutating")
    for webhook in configuration.get("webhooks") or []:
        _default(webhook, "failurePolicy", "Fail")
        _default(webhook, "matchPolicy", "Equivalent")
        _default(webhook, "namespaceSelector", {})
        _default(webhook, "objectSelector", {})
        _default(webhook, "timeoutSeconds", 10)
        if mutating:
            _default(webhook, "reinvocationPolicy", "Never")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            _default(service, "port", 443)
        for rule in webhook.get("rules") or []:
            _default(rule, "scope", "*")


def fill_policy(policy: Object) -> None:
    """Equivalent requests too, failing closed."""
    spec = policy.setdefault("spec", {})
    _default(spec, "failurePolicy", "Fail")
    if spec.get("matchConstraints") is not None:
        _fill_match(spec["matchConstraints"])


def fill_policy_binding(binding: Object) -> None:
    """What its own match resources mean."""
    match = (binding.get("spec") or {}).get("matchResources")
    if match is not None:
        _fill_match(match)


def _fill_match(match: Object) -> None:
    _default(match, "matchPolicy", "Equivalent")
    _default(match, "namespaceSelector", {})
    _default(match, "objectSelector", {})
    for rule in [*(match.get("resourceRules") or []), *(match.get("excludeResourceRules") or [])]:
        _default(rule, "scope", "*")


def _default(target: Object, field: str, value: object) -> None:
    if target.get(field) is None:
        target[field] = value
