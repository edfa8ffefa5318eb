"""APIService: which server answers for a group and version.

Source: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import METADATA, SPEC, FieldError, invalid, required
from kubarium.apimachinery.object import Object, name_of


def fill_defaults(service: Object) -> None:
    """Servers listen on 443."""
    reference = (service.get("spec") or {}).get("service")
    if reference is not None and reference.get("port") is None:
        reference["port"] = 443


def validate(service: Object) -> list[FieldError]:
    """Its name follows from group and version; priorities in their ranges; a whole reference to the server."""
    spec = service.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"
    found: list[FieldError] = []
    if name_of(service) and name_of(service) != wanted:
        why = f'must be `spec.version+"."+spec.group`: "{wanted}"'
        found.append(invalid(METADATA / "name", name_of(service), why))
    if not group and version != "v1":
        found.append(required(SPEC / "group", "only v1 may have an empty group and it better be legacy kube"))
    found += rules.if_named(SPEC / "group", group, names.dns_subdomain_errors)
    found += [invalid(SPEC / "version", version, text) for text in names.dns_1035_errors(version)]
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        number = spec.get(field) or 0
        if not 0 < number <= most:
            found.append(invalid(SPEC / field, number, f"must be positive and less than {most}"))
    return found + _server_errors(spec)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def _server_errors(spec: Object) -> list[FieldError]:
    server, bundle, trusting = spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    found: list[FieldError] = []
    if server is None:
        for field, value in (("caBundle", bundle), ("insecureSkipTLSVerify", trusting)):
            if value:
                article = "a caBundle" if field == "caBundle" else "insecureSkipTLSVerify"
                found.append(invalid(SPEC / field, value, f"local APIServices may not have {article}"))
        return found
    if trusting and bundle:
        found.append(invalid(SPEC / "insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    for field in ("namespace", "name"):
        if not server.get(field):
            found.append(required(SPEC / "service" / field))
    for error in rules.port_number(SPEC / "service" / "port", server.get("port")):
        why = error.body.partition(": ")[2].partition(": ")[2]
        found.append(invalid(error.path, server.get("port"), f"port is not valid: {why}"))
    return found
