"""Ingress: ways from outside to services."""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    ROOT,
    SPEC,
    FieldError,
    FieldPath,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, annotations_of

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_END = ("/..", "/.")
_NOT_A_NAME = "must be a DNS name, not an IP address"


def validate(ingress: Object) -> list[FieldError]:
    """A class said once, and a valid wish."""
    found = _validate_spec(ingress.get("spec") or {})
    said = annotations_of(ingress).get(CLASS_ANNOTATION)
    name = (ingress.get("spec") or {}).get("ingressClassName")
    if said is not None and name is not None and said != name:
        at = ROOT / "annotations" / CLASS_ANNOTATION
        found.append(invalid(at, said, "must match `ingressClassName` when both are specified"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return _validate_spec(new.get("spec") or {})


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """Addresses are addresses, host names are none."""
    found: list[FieldError] = []
    at = FieldPath("status") / "loadBalancer" / "ingress"
    for index, way in enumerate(((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []):
        if way.get("ip"):
            found += rules.address(at % index / "ip", way["ip"])
        host = way.get("hostname")
        if host:
            found += rules.if_named(at % index / "hostname", host, names.dns_subdomain_errors)
            if rules.is_address(host):
                found.append(invalid(at % index / "hostname", host, _NOT_A_NAME))
    return found


def _validate_spec(spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        found.append(invalid(SPEC, None, "either `defaultBackend` or `rules` must be specified"))
    if spec.get("defaultBackend") is not None:
        found += _backend(spec["defaultBackend"], SPEC / "defaultBackend")
    for index, rule in enumerate(spec.get("rules") or []):
        found += _rule(rule, SPEC / "rules" % index)
    for index, tls in enumerate(spec.get("tls") or []):
        at = SPEC / "tls" % index
        for number, host in enumerate(tls.get("hosts") or []):
            found += [invalid((at / "hosts") % number, host, text) for text in _host_errors(host)]
        found += rules.if_named(at / "secretName", tls.get("secretName"), names.dns_subdomain_errors)
    if spec.get("ingressClassName") is not None:
        name = spec["ingressClassName"]
        found += [invalid(SPEC / "ingressClassName", name, text) for text in names.dns_subdomain_errors(name)]
    return found


def _host_errors(host: str) -> list[str]:
    return names.wildcard_subdomain_errors(host) if "*" in host else names.dns_subdomain_errors(host)


def _rule(rule: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    host = rule.get("host")
    if host:
        if rules.is_address(host):
            found.append(invalid(path / "host", host, _NOT_A_NAME))
        found += [invalid(path / "host", host, text) for text in _host_errors(host)]
    if rule.get("http") is None:
        return found
    paths = rule["http"].get("paths") or []
    at = path / "http" / "paths"
    if not paths:
        found.append(required(at))
    for number, each in enumerate(paths):
        found += _path(each, at % number)
    return found


def _path(path: Object, at: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    kind, text = path.get("pathType"), path.get("path") or ""
    if kind is None:
        return [required(at / "pathType", "pathType must be specified")]
    if kind not in PATH_TYPES:
        found.append(not_supported(at / "pathType", kind, PATH_TYPES))
    elif (kind != "ImplementationSpecific" or text) and not text.startswith("/"):
        found.append(invalid(at / "path", text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        found += [
            invalid(at / "path", text, f"must not contain '{part}'") for part in _NOT_IN_PATHS if part in text
        ]
        found += [
            invalid(at / "path", text, f"cannot end with '{end}'")
            for end in _NOT_AT_END
            if text.endswith(end)
        ]
    return [*found, *_backend(path.get("backend") or {}, at / "backend")]


def _backend(backend: Object, at: FieldPath) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(at, "", "cannot set both resource and service backends")]
    if resource is not None:
        return reference_errors(resource, at / "resource")
    if service is None:
        return [invalid(at, "", "resource or service backend is required")]
    found = rules.named(at / "service" / "name", service.get("name"), names.dns_label_errors)
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        found.append(invalid(at, "", "cannot set both port name & port number"))
    elif name:
        found += rules.port(at / "service" / "port" / "name", name)
    elif number:
        found += rules.port_number(at / "service" / "port" / "number", number)
    else:
        found.append(required(at, "port name or number is required"))
    return found


def reference_errors(reference: Object, at: FieldPath) -> list[FieldError]:
    """A reference by group, kind and name."""
    return [
        *rules.if_given(at / "apiGroup", reference.get("apiGroup"), names.dns_subdomain_errors),
        *(
            error
            for field in ("kind", "name")
            for error in (
                rules.if_named(at / field, reference.get(field), names.path_segment_errors)
                if reference.get(field)
                else [required(at / field, f"{field} is required")]
            )
        ),
    ]


def warnings(ingress: Object, old: Object | None) -> list[str]:
    """The annotation that came before `spec.ingressClassName`."""
    named = (ingress.get("spec") or {}).get("ingressClassName") is not None
    if old is not None or named or CLASS_ANNOTATION not in annotations_of(ingress):
        return []
    return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
