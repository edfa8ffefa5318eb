"""CustomResourceDefinition: how a cluster learns a new noun."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kubarium.api.apiextensions import approval, conversion_settings, default_values, schema_validation
from kubarium.api.apiextensions.conversion_settings import Tolerance
from kubarium.api.apiextensions.names_and_paths import (
    MOST_SELECTABLE,
    column_errors,
    deprecation_errors,
    hoisted,
    must_be_label,
    name_errors,
    scale_errors,
    selectable_errors,
)
from kubarium.api.apiextensions.schema_validation import Leniency
from kubarium.apimachinery.conditions import is_true
from kubarium.apimachinery.field_path import (
    METADATA,
    SPEC,
    STATUS,
    FieldError,
    FieldPath,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.names import dns_subdomain_errors
from kubarium.apimachinery.object import Object, spec_of, status_of
from kubarium.apimachinery.schema.rules import Allowances, allowances_of
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.apimachinery.schema.structure import unsupported
from kubarium.apimachinery.schema.value_checks import unknown_formats

ESTABLISHED = "Established"


def fill_defaults(definition: Object) -> None:
    """Singular and list kind follow from the kind; versions are not converted."""
    spec = definition.setdefault("spec", {})
    wanted = spec.setdefault("names", {})
    if not wanted.get("singular"):
        wanted["singular"] = (wanted.get("kind") or "").lower()
    if not wanted.get("listKind") and wanted.get("kind"):
        wanted["listKind"] = wanted["kind"] + "List"
    if not spec.get("conversion"):
        spec["conversion"] = {"strategy": "None"}
    if (webhook := spec["conversion"].get("webhook")) is not None and _is_empty(webhook):
        del spec["conversion"]["webhook"]
    status = definition.setdefault("status", {})
    if not status.get("storedVersions"):
        status["storedVersions"] = [
            version["name"] for version in spec.get("versions") or () if version.get("storage")
        ][:1] or None
    service = ((spec["conversion"].get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def _is_empty(webhook: Object) -> bool:
    return webhook.get("clientConfig") is None and not webhook.get("conversionReviewVersions")


def validate(definition: Object) -> list[FieldError]:
    """Everything that may be wrong with a new definition."""
    found = [*_name_error(definition), *_spec_errors(definition, {}, _NEW)]
    found += _status_errors(definition)
    found += approval.errors(definition)
    if spec_of(definition).get("preserveUnknownFields"):
        found.append(invalid(SPEC / "preserveUnknownFields", True, _KEEP_NOTHING))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The name stays, scope and kind once they are served; what was wrong before may stay wrong."""
    after, before = spec_of(new), spec_of(old)
    found = [*_spec_errors(new, before, _old(new, old))]
    names, former = after.get("names") or {}, before.get("names") or {}
    if is_true(old, ESTABLISHED):
        found += immutable(SPEC / "scope", after.get("scope"), before.get("scope"))
        found += immutable(SPEC / "names" / "kind", names.get("kind"), former.get("kind"))
    found += immutable(SPEC / "group", after.get("group"), before.get("group"))
    found += immutable(SPEC / "names" / "plural", names.get("plural"), former.get("plural"))
    found += _status_errors(new)
    if approval.state(new) != approval.state(old):
        found += approval.errors(new)
    if after.get("preserveUnknownFields") and not before.get("preserveUnknownFields"):
        found.append(invalid(SPEC / "preserveUnknownFields", True, _KEEP_NOTHING))
    return found


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """The accepted names are names."""
    return list(name_errors(status_of(new).get("acceptedNames") or {}, STATUS / "acceptedNames"))


def warnings(new: Object, old: Object | None) -> list[str]:
    """Formats that mean nothing here, as far as the definition did not have them before."""
    known = set(_unknown_formats(old)) if old is not None else set()
    return [f"unrecognized format {json.dumps(name)}" for name in _unknown_formats(new) if name not in known]


def _unknown_formats(definition: Object) -> list[str]:
    versions = spec_of(definition).get("versions") or []
    found = (value for value, _, _ in hoisted(versions, "schema"))
    return [name for schema in found for name in unknown_formats((schema or {}).get("openAPIV3Schema"))]


@dataclass(frozen=True)
class Old:
    """What an update lets pass because the definition had it before."""

    leniency: Leniency = schema_validation.STRICT
    same_schemas: frozenset[str] = frozenset()  # versions
    many_selectable: frozenset[str] = frozenset()  # versions
    conversion: Tolerance = conversion_settings.NOTHING


_NEW = Old()


def _old(new: Object, old: Object) -> Old:
    before = {version.get("name"): version for version in spec_of(old).get("versions") or ()}
    after = {version.get("name"): version for version in spec_of(new).get("versions") or ()}
    schemas = [schema_of(version) for version in before.values()]
    allowances = [allowances_of(schema) for schema in schemas]
    return Old(
        Leniency(
            Allowances(
                any(one.unknown_types for one in allowances),
                any(one.sets_of_open_items for one in allowances),
                any(one.loose_keys for one in allowances),
            ),
            any(default_values.has_unpruned(schema) for schema in schemas),
        ),
        frozenset(
            name for name in after if name in before and schema_of(after[name]) == schema_of(before[name])
        ),
        frozenset(name for name in after if _has_too_many(after[name], before.get(name))),
        conversion_settings.tolerance_of(old, is_true(old, ESTABLISHED)),
    )


def _has_too_many(version: Object, before: Object | None) -> bool:
    fields = version.get("selectableFields") or []
    return len(fields) > MOST_SELECTABLE and fields == (before or {}).get("selectableFields")


def schema_of(version: Object) -> Object | None:
    """What a version says of its objects."""
    schema: Object | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _name_error(definition: Object) -> Iterator[FieldError]:
    names = spec_of(definition).get("names") or {}
    expected = f"{names.get('plural') or ''}.{spec_of(definition).get('group') or ''}"
    text = 'must be spec.names.plural+"."+spec.group'
    for field in ("generateName", "name"):
        given = (definition.get("metadata") or {}).get(field) or ""
        if given and given != expected:
            yield invalid(METADATA / field, given, text)


def _spec_errors(definition: Object, before: Object, old: Old) -> Iterator[FieldError]:
    spec = spec_of(definition)
    group, scope = spec.get("group") or "", spec.get("scope") or ""
    if not group:
        yield required(SPEC / "group")
    elif wrong := dns_subdomain_errors(group):
        yield invalid(SPEC / "group", group, ",".join(wrong))
    elif "." not in group:
        yield invalid(SPEC / "group", group, "should be a domain with at least one dot")
    if not scope:
        yield required(SPEC / "scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield not_supported(SPEC / "scope", scope, ("Cluster", "Namespaced"))
    yield from _version_errors(spec, old)
    names = spec.get("names") or {}
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield required(SPEC / "names" / field)
    yield from name_errors(names, SPEC / "names")
    yield from _part_errors(spec.get("versions") or [], old, of_definition=True)
    yield from conversion_settings.errors(spec.get("conversion") or {"strategy": "None"}, old.conversion)


def _version_errors(spec: Object, old: Old) -> Iterator[FieldError]:
    versions = spec.get("versions") or []
    for index, version in enumerate(versions):
        if schema_of(version) is None:
            yield required(SPEC / "versions" % index / "schema" / "openAPIV3Schema")
    if spec.get("preserveUnknownFields") and any(default_values.has_any(schema_of(one)) for one in versions):
        text = "must be false in order to use defaults in the schema"
        yield invalid(SPEC / "preserveUnknownFields", True, text)
    for index, version in enumerate(versions):
        at = SPEC / "versions" % index
        yield from must_be_label(at / "name", version.get("name") or "")
        yield from deprecation_errors(version, at)
    yield from _part_errors(versions, old, of_definition=False)
    named = [version.get("name") or "" for version in versions]
    if len(set(named)) < len(named):
        yield invalid(SPEC / "versions", versions, "must contain unique version names")
    if sum(1 for version in versions if version.get("storage")) != 1:
        text = "must have exactly one version marked as storage version"
        yield invalid(SPEC / "versions", spec.get("versions"), text)
    if named and named[0]:  # in upstream's internal form the first stands there, too
        yield from must_be_label(SPEC / "version", named[0])


def _part_errors(versions: Sequence[Object], old: Old, *, of_definition: bool) -> Iterator[FieldError]:
    """What versions say of themselves, or what all of them say alike."""
    parts: dict[str, Callable[[Any, FieldPath, Object], Iterator[FieldError]]] = {
        "schema": partial(_schema_errors, versions, old),
        "subresources": lambda value, at, version: scale_errors(value, at),
        "additionalPrinterColumns": lambda value, at, version: column_errors(value, at),
        "selectableFields": partial(_selectable_errors, versions, old),
    }
    for part, errors_of in parts.items():
        for value, at, version in hoisted(versions, part):
            if value and (at == SPEC / part) is of_definition:
                yield from errors_of(value, at, version)


def _schema_errors(
    versions: Sequence[Object], old: Old, value: Object, at: FieldPath, version: Object
) -> Iterator[FieldError]:
    shared = at == SPEC / "schema"
    if (schema := value.get("openAPIV3Schema")) is None:
        return
    # What all versions share is `spec.validation` in the older form of definitions.
    path = (SPEC / "validation" if shared else at) / "openAPIV3Schema"
    asked = versions if shared else [version]
    has_status = any((one.get("subresources") or {}).get("status") is not None for one in asked)
    same = (version.get("name") or "") in old.same_schemas
    leniency = replace(old.leniency, costs=same)
    yield from schema_validation.schema_errors(schema, path, has_status=has_status, leniency=leniency)


def _selectable_errors(
    versions: Sequence[Object], old: Old, value: Sequence[Object], at: FieldPath, version: Object
) -> Iterator[FieldError]:
    schemas = [schema_of(one) for one in versions]
    shared = at == SPEC / "selectableFields"
    schema = schema_of(version)
    if shared and any(one != schema for one in schemas):
        yield invalid(at, "", "may only be set when validations.schema is included")
    elif not shared and schemas and all(one == schema for one in schemas):
        text = "may only be set when `version.schema.openAPIV3Schema` is not included"
        yield invalid(at, "", text)
    elif schema is not None and not unsupported(schema):
        many = (version.get("name") or "") in old.many_selectable
        yield from selectable_errors(value, from_openapi(schema), at, any_number=many)


def _status_errors(definition: Object) -> Iterator[FieldError]:
    """Accepted names are names; every version that is kept somewhere is still there."""
    status, at = status_of(definition), STATUS / "storedVersions"
    yield from name_errors(status.get("acceptedNames") or {}, STATUS / "acceptedNames")
    stored = status.get("storedVersions") or []
    if not stored:
        yield invalid(at, None, "must have at least one stored version")
        return
    left = set(stored)
    for version in spec_of(definition).get("versions") or []:
        if version.get("storage") and version.get("name") not in left:
            yield invalid(at, stored, f"must have the storage version {version.get('name')}")
        left.discard(version.get("name"))
    for index, name in enumerate(stored):
        if name in left:
            yield invalid(at % index, name, _LOST.format(name))


_LOST = (
    "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a "
    "storage migration ensures no data remains persisted in {0} and removes {0} from status.storedVersions"
)
_KEEP_NOTHING = (
    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
)
