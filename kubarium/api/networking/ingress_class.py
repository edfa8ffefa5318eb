"""IngressClass: which controller serves an Ingress."""

from __future__ import annotations

from kubarium.api.networking.ingress import reference_errors
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    immutable,
    not_supported,
    required,
    too_long,
)
from kubarium.apimachinery.object import Object

MAX_CONTROLLER = 250
SCOPES = ("Cluster", "Namespace")


def fill_defaults(ingress_class: Object) -> None:
    """Parameters belong to the cluster."""
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def validate(ingress_class: Object) -> list[FieldError]:
    """A controller as a domain-prefixed path, and whole parameters."""
    spec = ingress_class.get("spec") or {}
    controller = spec.get("controller") or ""
    found: list[FieldError] = []
    if len(controller) > MAX_CONTROLLER:
        found.append(too_long(SPEC / "controller", MAX_CONTROLLER))
    found += rules.named(SPEC / "controller", controller, names.domain_prefixed_path_errors)
    if spec.get("parameters") is not None:
        found += _parameters(spec["parameters"], SPEC / "parameters")
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The controller stays."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    return [
        *immutable(SPEC / "controller", after.get("controller"), before.get("controller")),
        *validate(new),
    ]


def _parameters(parameters: Object, path: FieldPath) -> list[FieldError]:
    found = reference_errors(parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        return [*found, required(path / "scope")]
    if scope not in SCOPES:
        found.append(not_supported(path / "scope", scope, SCOPES))
    elif scope == "Namespace" and namespace is None:
        found.append(required(path / "namespace", "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Namespace":
        found += rules.if_named(path / "namespace", namespace, names.dns_label_errors)
    elif namespace is not None:
        found.append(forbidden(path / "namespace", "`parameters.scope` is set to 'Cluster'"))
    return found
