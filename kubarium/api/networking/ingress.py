"""Ingress and IngressClass: ways from outside to services."""

from __future__ import annotations

from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.object import Object

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def validate(ingress: Object) -> list[FieldError]:
    """A default backend or rules; absolute paths."""
    spec = ingress.get("spec") or {}
    found: list[FieldError] = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        found.append(invalid(SPEC, [], "either `defaultBackend` or `rules` must be specified"))
    if spec.get("defaultBackend"):
        found += _backend(spec["defaultBackend"], SPEC / "defaultBackend")
    for index, rule in enumerate(spec.get("rules") or []):
        paths = (rule.get("http") or {}).get("paths")
        at = SPEC / "rules" % index / "http" / "paths"
        if rule.get("http") is not None and not paths:
            found.append(required(at))
        for number, path in enumerate(paths or []):
            found += _path(path, at % number)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def _path(path: Object, at: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    kind = path.get("pathType")
    text = path.get("path") or ""
    if not kind:
        found.append(required(at / "pathType", "pathType must be specified"))
    elif kind not in PATH_TYPES:
        found.append(not_supported(at / "pathType", kind, PATH_TYPES))
    elif (kind != "ImplementationSpecific" or text) and not text.startswith("/"):
        found.append(invalid(at / "path", text, "must be an absolute path"))
    return [*found, *_backend(path.get("backend") or {}, at / "backend")]


def _backend(backend: Object, at: FieldPath) -> list[FieldError]:
    service = backend.get("service")
    if service is None and backend.get("resource") is None:
        return [required(at, "resource or service backend is required")]
    if service is not None and not service.get("name"):
        return [required(at / "service" / "name")]
    return []
