"""CustomResourceDefinition: how a cluster learns a new noun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from kubarium.api.apiextensions import names_and_paths
from kubarium.apimachinery.cel.validation_rules import Rules
from kubarium.apimachinery.field_path import (
    METADATA,
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, annotations_of, name_of, spec_of
from kubarium.apimachinery.schema.rules import validate_schema
from kubarium.apimachinery.schema.structural import from_openapi


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
    service = ((spec["conversion"].get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def validate(definition: Object) -> list[FieldError]:
    """Names, scope, exactly one storage version, a schema for each version."""
    spec = definition.get("spec") or {}
    wanted = spec.get("names") or {}
    found: list[FieldError] = []
    expected = f"{wanted.get('plural') or ''}.{spec.get('group') or ''}"
    if name_of(definition) != expected:
        found.append(
            invalid(METADATA / "name", name_of(definition), 'must be spec.names.plural+"."+spec.group')
        )
    if not spec.get("group"):
        found.append(required(SPEC / "group"))
    elif "." not in spec["group"]:
        found.append(invalid(SPEC / "group", spec["group"], "should be a domain with at least one dot"))
    if not spec.get("scope"):
        found.append(required(SPEC / "scope"))
    elif spec["scope"] not in ("Cluster", "Namespaced"):
        found.append(not_supported(SPEC / "scope", spec["scope"], ("Cluster", "Namespaced")))
    for field in ("plural", "singular", "kind", "listKind"):
        if not wanted.get(field):
            found.append(required(SPEC / "names" / field))
    versions = spec.get("versions") or []
    if sum(1 for version in versions if version.get("storage")) != 1:
        found.append(
            invalid(SPEC / "versions", versions, "must have exactly one version marked as storage version")
        )
    for schema, at in _schemas(versions):
        if schema is None:
            found.append(required(at))
        else:
            found += validate_schema(schema, at)
            found += Rules(from_openapi(schema), at).errors
    if spec.get("preserveUnknownFields"):
        found.append(invalid(SPEC / "preserveUnknownFields", True, _KEEP_NOTHING))
    found += names_and_paths.name_errors(wanted)
    found += _approval_errors(definition)
    found += names_and_paths.version_errors(versions)
    found += _conversion_errors(spec.get("conversion") or {"strategy": "None"})
    return found


def _schemas(versions: Sequence[Object]) -> Iterator[tuple[Object | None, FieldPath]]:
    """The schemas and where they stand: one that all versions share is told as `spec.validation`, as upstream does."""
    found = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    if found and found[0] is not None and all(schema == found[0] for schema in found):
        yield found[0], SPEC / "validation" / "openAPIV3Schema"
        return
    for index, schema in enumerate(found):
        yield schema, SPEC / "versions" % index / "schema" / "openAPIV3Schema"


_KEEP_NOTHING = (
    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
)
_APPROVED = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def _approval_errors(definition: Object) -> Iterator[FieldError]:
    """Groups of the community's own domains need its approval, or must say that they have none."""
    group = spec_of(definition).get("group") or ""
    if not any(group == domain or group.endswith(f".{domain}") for domain in _PROTECTED):
        return
    annotations, path = annotations_of(definition), (METADATA / "annotations").key(_APPROVED)
    said = annotations.get(_APPROVED) or ""
    if not said:
        text = f'protected groups must have approval annotation "{_APPROVED}", {_SEE}'
        yield required(path, text)
    elif not said.startswith("unapproved") and not (urlsplit(said).scheme and urlsplit(said).netloc):
        text = (
            f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason starting '
            f'with "unapproved", {_SEE}'
        )
        yield invalid(path, said, text)


def _is_about_cost(error: FieldError) -> bool:
    return error.type == "FieldValueForbidden" and (
        "rule cost" in error.body or "messageExpression cost" in error.body
    )


def _conversion_errors(conversion: Object) -> Iterator[FieldError]:
    """Whoever wants a webhook must say where it is and what it understands."""
    at, strategy = SPEC / "conversion", conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    if strategy not in ("None", "Webhook"):
        yield not_supported(at / "strategy", strategy, ("None", "Webhook"))
    if strategy != "Webhook":
        if webhook:
            yield forbidden(at / "webhook", "should not be set when strategy is not set to Webhook")
        return
    config = webhook.get("clientConfig")
    # The paths are those of the older version, in which upstream's internal form is built.
    if config is None:
        yield required(at / "webhookClientConfig", "required when strategy is set to Webhook")
    elif bool(config.get("url")) == bool(config.get("service")):
        yield required(at / "webhookClientConfig", "exactly one of url or service is required")
    versions = webhook.get("conversionReviewVersions") or []
    if not versions:
        yield required(at / "conversionReviewVersions")
    elif not set(versions) & {"v1", "v1beta1"}:
        yield invalid(at / "conversionReviewVersions", versions, "must include at least one of v1, v1beta1")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Group, scope and names stay once they are in use."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    found = validate(new)
    if any(_is_about_cost(error) for error in found):
        # What was accepted with such costs stays acceptable: limits may have changed since.
        accepted = {str(error) for error in validate(old) if _is_about_cost(error)}
        found = [error for error in found if str(error) not in accepted]
    for field in ("group", "scope"):
        found += immutable(SPEC / field, after.get(field), before.get(field))
    for field in ("kind", "plural"):
        at = SPEC / "names" / field
        found += immutable(at, (after.get("names") or {}).get(field), (before.get("names") or {}).get(field))
    return found
