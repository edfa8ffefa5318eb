"""What makes references to other data invalid: environment variables and the parts of volumes that mean the same.

`fieldRef` and `resourceFieldRef` of the downward API, keys of ConfigMaps, Secrets and files.
"""

from __future__ import annotations

import re

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.object import Object

ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
FILE_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_KNOWN_FIELDS = frozenset(
    (*ENV_FIELDS, *FILE_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase")
)
_SUBSCRIPT = re.compile(r"^(metadata\.(?:labels|annotations))\['(.*)'\]$")


def validate_env(env: list[Object], path: FieldPath) -> list[FieldError]:
    """Variables: a name, and a value or one source of it."""
    found: list[FieldError] = []
    for index, variable in enumerate(env):
        at = path % index
        name = variable.get("name") or ""
        if not name:
            found.append(required(at / "name"))
        else:
            found += [invalid(at / "name", name, text) for text in names.env_name_errors(name)]
        if variable.get("valueFrom") is not None:
            found += _value_from(variable["valueFrom"], variable.get("value") or "", at / "valueFrom")
    return found


def _value_from(source: Object, value: str, path: FieldPath) -> list[FieldError]:
    given = [field for field in ENV_SOURCES if source.get(field) is not None]
    found: list[FieldError] = []
    if not given:
        shown = ", ".join(f"`{each}`" for each in ENV_SOURCES[:-1])
        found.append(invalid(path, "", f"must specify one of: {shown} or `{ENV_SOURCES[-1]}`"))
    elif value:
        found.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        found.append(invalid(path, "", "may not have more than one field specified at a time"))
    for field in given:
        reference, at = source[field], path / field
        if field == "fieldRef":
            found += validate_field_ref(reference, at, ENV_FIELDS)
        elif field == "resourceFieldRef":
            found += validate_resource_ref(reference, at, in_volume=False)
        else:
            found += _key(reference, at, field)
    return found


def _key(reference: Object, path: FieldPath, field: str) -> list[FieldError]:
    found: list[FieldError] = []
    if field == "fileKeyRef":
        for name in ("volumeName", "path"):
            if not reference.get(name):
                found.append(required(path / name))
    else:
        name = reference.get("name") or ""
        found += [invalid(path / "name", name, text) for text in names.dns_subdomain_errors(name)]
    key = reference.get("key") or ""
    if not key:
        return [*found, required(path / "key")]
    rule = names.env_name_errors if field == "fileKeyRef" else names.config_key_errors
    return found + [invalid(path / "key", key, text) for text in rule(key)]


def validate_env_from(sources: list[Object], path: FieldPath) -> list[FieldError]:
    """Whole ConfigMaps and Secrets as variables."""
    found: list[FieldError] = []
    for index, source in enumerate(sources):
        at = path % index
        prefix = source.get("prefix") or ""
        if prefix:
            found += [invalid(at / "prefix", prefix, text) for text in names.env_name_errors(prefix)]
        given = [field for field in ("configMapRef", "secretRef") if source.get(field) is not None]
        for field in given:
            found += rules.named(at / field / "name", source[field].get("name"), names.dns_subdomain_errors)
        if not given:  # upstream does not say of which source
            found.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            found.append(invalid(path, "", "may not have more than one field specified at a time"))
    return found


def validate_field_ref(reference: Object, path: FieldPath, allowed: tuple[str, ...]) -> list[FieldError]:
    """A field of the pod that the downward API offers at this place."""
    text = reference.get("fieldPath") or ""
    found = [] if reference.get("apiVersion") else [required(path / "apiVersion")]
    at = path / "fieldPath"
    if not text:
        return [*found, required(at)]
    version = reference.get("apiVersion") or "v1"
    if version != "v1":
        return [*found, invalid(at, text, f"error converting fieldPath: unsupported pod version: {version}")]
    subscript = _SUBSCRIPT.match(text)
    if subscript:
        return found + _subscript(subscript[1], subscript[2], at)
    if text not in _KNOWN_FIELDS:
        why = f"error converting fieldPath: field label not supported: {text}"
        return [*found, invalid(at, text, why)]
    return found if text in allowed else [*found, not_supported(at, text, sorted(allowed))]


def _subscript(field: str, key: str, path: FieldPath) -> list[FieldError]:
    text = key.lower() if field == "metadata.annotations" else key
    return [invalid(path, key, why) for why in names.qualified_name_errors(text)]


def validate_resource_ref(reference: Object, path: FieldPath, *, in_volume: bool) -> list[FieldError]:
    """A request or limit of a container; files must say of which one."""
    name, divisor = reference.get("resource") or "", reference.get("divisor") or "0"
    found: list[FieldError] = []
    if in_volume and not reference.get("containerName"):
        found.append(required(path / "containerName"))
    elif not name:
        found.append(required(path / "resource"))
    elif name not in RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        found.append(not_supported(path / "resource", name, RESOURCES))
    what = name.partition(".")[2].partition("-")[0]
    known, shown, said = _DIVISORS.get(what, _DIVISORS[""])
    if said and divisor != "0" and divisor not in known:
        why = f"only divisor's values {shown} are supported with the {said} resource"
        found.append(invalid(path / "divisor", name, why))
    return found


_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVISORS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "cpu": (("1m", "1"), "1m and 1", "cpu"),
    "memory": (_SIZES, ", ".join(_SIZES), "memory"),
    "ephemeral": (_SIZES, ", ".join(_SIZES), "local ephemeral storage"),
    "hugepages": (_SIZES, ", ".join(_SIZES), "hugepages"),
    "": ((), "", ""),
}
"""In which units a resource can be told: the values, and how messages say them."""
