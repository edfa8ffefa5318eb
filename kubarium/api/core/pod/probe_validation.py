"""What makes probes and hooks of a container invalid."""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_PROBE_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")


def validate_probes(container: Object, path: FieldPath, field: str, grace: int) -> list[FieldError]:
    """Probes and hooks; `field` is the list that the container stands in, `grace` the pod's, in seconds."""
    if field == "initContainers" and container.get("restartPolicy") != "Always":
        return _none_allowed(container, path)
    found: list[FieldError] = []
    for name in PROBES:
        if container.get(name) is not None:
            found += _probe(container[name], path / name, name)
    for name in ("postStart", "preStop"):
        hook = (container.get("lifecycle") or {}).get(name)
        if hook is not None:
            found += _hook(hook, path / "lifecycle" / name, grace)
    return found


def _none_allowed(container: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if container.get("lifecycle") is not None:
        why = "may not be set for init containers without restartPolicy=Always"
        found.append(forbidden(path / "lifecycle", why))
    why = "may not be set for init containers without restartPolicy=Always"
    return found + [forbidden(path / name, why) for name in PROBES if container.get(name) is not None]


def _probe(probe: Object, path: FieldPath, name: str) -> list[FieldError]:
    found = _action(probe, path, _PROBE_ACTIONS)
    found += rules.not_negative(probe, path, *_NUMBERS)
    grace = probe.get("terminationGracePeriodSeconds")
    if name == "readinessProbe":
        if grace is not None:
            why = "must not be set for readinessProbes"
            found.append(invalid(path / "terminationGracePeriodSeconds", grace, why))
        return found
    if (probe.get("successThreshold") or 1) != 1:
        found.append(invalid(path / "successThreshold", probe["successThreshold"], "must be 1"))
    if grace is not None and grace <= 0:
        found.append(invalid(path / "terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _hook(hook: Object, path: FieldPath, grace: int) -> list[FieldError]:
    found = _action(hook, path, _HOOK_ACTIONS)
    if hook.get("sleep") is not None:
        seconds = hook["sleep"].get("seconds") or 0
        if not 0 <= seconds <= grace:
            why = (
                "must be non-negative and less than terminationGracePeriodSeconds "
                f"({grace}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep."
            )
            found.append(invalid(path / "sleep" / "seconds", seconds, why))
    return found


def _action(handler: Object, path: FieldPath, actions: tuple[str, ...]) -> list[FieldError]:
    """Exactly one thing to do, and that is whole."""
    given = [kind for kind in actions if handler.get(kind) is not None]
    if not given:
        return [required(path, "must specify a handler type")]
    found = [forbidden(path / kind, "may not specify more than 1 handler type") for kind in given[1:]]
    kind, action = given[0], handler[given[0]]
    at = path / kind
    if kind == "exec" and not action.get("command"):
        found.append(required(at / "command"))
    if kind in ("httpGet", "tcpSocket", "grpc"):
        found += rules.port(at / "port", action.get("port"))
    if kind == "httpGet":
        found += _http_get(action, at)
    return found


def _http_get(action: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if not action.get("path"):
        found.append(required(path / "path"))
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        found.append(not_supported(path / "scheme", action.get("scheme"), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or []:
        name = header.get("name") or ""
        found += [invalid(path / "httpHeaders", name, text) for text in names.header_errors(name)]
    return found
