"""One version of a custom resource: what endpoints and registry need to know of it beyond its catalog row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from apiserver.admission.metrics import COMPILED
from apiserver.extensions import custom_openapi, json_path
from apiserver.extensions.conversion import ConversionWebhook, ConvertingStorage, View
from apiserver.extensions.custom_columns import columns_of
from apiserver.extensions.custom_validation import Judge, finalizer_warnings
from apiserver.registry.columns.workloads import scale_of_custom
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.strategy import Strategy, keep
from apiserver.registry.subresources import SCALE, carry_preconditions, replicas_of, scale_of, status
from apiserver.request import RequestContext
from kubarium.api.apiextensions.custom_resource_definition import schema_of
from kubarium.apimachinery import errors
from kubarium.apimachinery.cel.validation_rules import Rules
from kubarium.apimachinery.group_version import GroupVersionKind, join
from kubarium.apimachinery.object import (
    Object,
    copy,
    generation_of,
    is_deleting,
    metadata_of,
    resource_version_of,
    spec_of,
    status_of,
)
from kubarium.apimachinery.schema import builtin, structural
from kubarium.apimachinery.schema.catalog import Catalog as Schemas
from kubarium.apimachinery.schema.structural import MISSING, Structural

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."


@dataclass(frozen=True)
class CustomStrategy(Strategy):
    """The generation counts every change outside metadata (and status, where that is written apart)."""

    finalizers_with_domain: bool = False

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        if self.has_status:
            obj.pop("status", None)
        metadata_of(obj)["generation"] = 1

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        if self.has_status:
            keep(new, old, "status")
        metadata_of(new)["generation"] = generation_of(old) + (self.wish_of(new) != self.wish_of(old))

    def prepare_for_status_update(self, context: RequestContext, new: Object, old: Object) -> None:
        """Only status and managed fields come from the request."""
        managed = metadata_of(new).get("managedFields")
        super().prepare_for_status_update(context, new, old)
        new["metadata"] = dict(old["metadata"])
        if managed is not None:
            new["metadata"]["managedFields"] = managed

    def wish_of(self, obj: Object) -> Any:
        ignored = ("metadata", "status") if self.has_status else ("metadata",)
        return {key: value for key, value in obj.items() if key not in ignored}


@dataclass(frozen=True)
class CustomResource:
    """The schema of a version and what follows from it. `Resource.custom` of its row."""

    gvk: GroupVersionKind
    schema: Structural  # of whole objects, metadata included: for managed fields
    own: Structural  # as the definition says
    schemas: Schemas
    document: Mapping[str, Any] = field(default_factory=dict)  # openAPIV3Schema
    list_kind: str = ""
    plural: str = ""
    storage_version: str = ""  # in which objects are kept
    ends: bool = False  # the definition is being deleted: nothing new comes
    serves_stored: bool = True  # the version in which objects are kept
    selectable: tuple[str, ...] = ()  # paths of fields by which lists can be selected
    conversion: ConversionWebhook | None = (
        None  # asked for other versions; without it only their name differs
    )

    versions: Mapping[str, Structural] = field(default_factory=dict)  # whole schemas
    owns: Mapping[str, Structural] = field(default_factory=dict)  # what the definition says of each version

    async def converted(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """Objects in another version, with what it knows."""
        if self.conversion is not None:
            found = await self.conversion.convert(objects, api_version)
        else:
            found = [_renamed(api_version, obj) for obj in objects]
        return [_pruned(self.owns, copy(obj)) for obj in found]

    def prune(self, obj: Object) -> None:
        """Drop what the schema does not know, after somebody has changed the object."""
        structural.prune(obj, self.own)

    def normalize(self, obj: Object) -> list[str]:
        """Drop what the schema does not know and fill in its defaults; what was dropped, as problems."""
        problems = [
            builtin.unknown_field(path) for path in builtin.normalize_metadata(obj, self.gvk, self.schemas)
        ]
        problems += [builtin.unknown_field(path) for path in sorted(structural.prune(obj, self.own))]
        for place, inner in structural.embedded(obj, self.own):
            unknown = builtin.normalize_metadata(inner, self.gvk, self.schemas, place)
            problems += [builtin.unknown_field(f"{place}.{path}") for path in unknown]
        structural.default(obj, self.own)
        return problems

    @property
    def fingerprint(self) -> str:
        """A hash of what is published of it."""
        content = [self.document, self.list_kind, self.plural, self.selectable]
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def definition_names(self) -> dict[GroupVersionKind, str]:
        """The names of its schema and that of its list in OpenAPI documents."""
        listed = self.gvk._replace(kind=self.gvk.kind + "List")  # as the paths ask for it
        return {
            self.gvk: custom_openapi.definition_name(self.gvk, self.gvk.kind),
            listed: custom_openapi.definition_name(self.gvk, self.list_kind),
        }

    def definitions(self, v2: bool = False) -> dict[str, Any]:
        """Its schema and that of its list, as OpenAPI documents publish them."""
        return custom_openapi.definitions(
            self.gvk, self.list_kind, self.plural, self.document, self.selectable, v2=v2
        )


@dataclass(frozen=True)
class Conversions:
    """Where objects are converted whose definitions have a webhook for that, and who calls it."""

    storage: ConvertingStorage
    call: Callable[[Object, Object, float], Any]

    def webhook_of(self, definition: Object) -> ConversionWebhook | None:
        """The webhook of a definition."""
        conversion = spec_of(definition).get("conversion") or {}
        if conversion.get("strategy") != "Webhook":
            return None
        return ConversionWebhook(conversion.get("webhook") or {}, self.call)


def rows_of(definition: Object, schemas: Schemas, conversions: Conversions | None = None) -> list[Resource]:
    """A catalog row for each served version of a definition; the one that is kept comes first."""
    rows = _rows_without_webhook(definition, schemas)
    webhook = conversions.webhook_of(definition) if conversions is not None else None
    if webhook is None or conversions is None:
        return rows
    return [_converted(row, definition, webhook, conversions.storage) for row in rows]


def _converted(
    row: Resource, definition: Object, webhook: ConversionWebhook, storage: ConvertingStorage
) -> Resource:
    """The row on top of a view: what storage gives and takes is in the row's version."""
    kept = next(version["name"] for version in spec_of(definition)["versions"] if version.get("storage"))
    mark = f"{row.version}#{resource_version_of(definition)}"
    schemas = _schemas_of(definition)
    view = View(
        row.api_version,
        join(row.group, kept),
        webhook,
        partial(_settled, schemas),
        partial(_pruned, schemas),
        mark,
    )
    prefix = storage.add(row.group, row.plural, view)
    return replace(
        row,
        storage_prefix=prefix,
        storage_version="",
        to_storage=None,
        from_storage=None,
        reread=None,
        rehearse=view.rehearsed,
        custom=replace(row.custom, conversion=webhook),
    )


def _rows_without_webhook(definition: Object, schemas: Schemas) -> list[Resource]:
    spec = spec_of(definition)
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = status_of(definition).get("storedVersions") or [storage]
    own = _schemas_of(definition)
    # What was kept under another version, or before the schema changed, is shown as the schema is today.
    changed = len(set(stored) | {storage}) > 1 or generation_of(definition) > 1
    differs = changed or _has_defaults(own[join(spec["group"], storage)])
    return [
        _row(definition, version, storage, own, differs, schemas)
        for version in sorted(spec["versions"], key=lambda one: not one.get("storage"))
        if version.get("served")
    ]


def _schemas_of(definition: Object) -> dict[str, Structural]:
    """The schemas of all versions, by apiVersion."""
    spec = spec_of(definition)
    return {
        join(spec["group"], version["name"]): structural.from_openapi(_document_of(version))
        for version in spec["versions"]
    }


def _document_of(version: Object) -> Object:
    return schema_of(version) or {"x-kubernetes-preserve-unknown-fields": True}


def _row(
    definition: Object,
    version: Object,
    storage: str,
    schemas_of: Mapping[str, Structural],
    differs: bool,
    schemas: Schemas,
) -> Resource:
    spec = spec_of(definition)
    names, group = spec["names"], spec["group"]
    api_version, kept = join(group, version["name"]), join(group, storage)
    own = schemas_of[api_version]
    custom = CustomResource(
        GroupVersionKind(group, version["name"], names["kind"]),
        _whole(own, schemas),
        own,
        schemas,
        schema_of(version) or {},
        names.get("listKind") or names["kind"] + "List",
        names["plural"],
        kept,
        is_deleting(definition),
        any(one["name"] == storage and one.get("served") for one in spec["versions"]),
        tuple(entry["jsonPath"] for entry in version.get("selectableFields") or ()),
        versions={name: _whole(one, schemas) for name, one in schemas_of.items()},
        owns=schemas_of,
    )
    subresources = _subresources(api_version, names["kind"], version.get("subresources") or {})
    verbs: tuple[str, ...] = (
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "create",
        "update",
        "watch",
    )
    other = storage != version["name"]
    return Resource(
        api_version,
        names["kind"],
        names["plural"],
        _strategy(own, version, "status" in subresources),
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        names.get("singular") or "",
        spec["scope"] == "Namespaced",
        verbs,
        subresources,
        f"{group}/{names['plural']}",
        kept if other else "",
        partial(_renamed, kept) if other else None,
        partial(_read, api_version, schemas_of) if other or differs else None,
        partial(_read, kept, schemas_of) if differs else None,
        deprecation=_deprecation(version, custom.gvk) if version.get("deprecated") else "",
        custom=custom,
    )


def _deprecation(version: Object, kind: GroupVersionKind) -> str:
    """What clients of an old version are told: the author's own words, or upstream's."""
    own: str | None = version.get("deprecationWarning")
    return own if own is not None else f"{kind.group}/{kind.version} {kind.kind} is deprecated"


def _renamed(api_version: str, obj: Object) -> Object:
    """Conversion strategy None: nothing but the version changes."""
    return {**obj, "apiVersion": api_version}


def _read(api_version: str, schemas: Mapping[str, Structural], obj: Object) -> Object:
    """A kept object, perhaps written under an older schema, as a version shows it.

    It has the defaults of the version in which it is kept, not of the one in which it is shown. Source:
    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
    """
    shown = _settled(schemas, obj)
    if shown.get("apiVersion") == api_version:
        return shown
    return _pruned(schemas, shown | {"apiVersion": api_version})


def _settled(schemas: Mapping[str, Structural], obj: Object) -> Object:
    """A kept object by today's schema of the version in which it is kept."""
    shown = copy(obj)
    schema = schemas.get(shown.get("apiVersion") or "")
    if schema is not None:
        structural.prune(shown, schema)
        structural.default(shown, schema)
    return shown


def _pruned(schemas: Mapping[str, Structural], obj: Object) -> Object:
    """An object without what its version does not know, in place."""
    schema = schemas.get(obj.get("apiVersion") or "")
    if schema is not None:
        structural.prune(obj, schema)
    return obj


def _has_defaults(schema: Structural) -> bool:
    children = [*schema.properties.values(), schema.items, schema.additional]
    return schema.default is not MISSING or any(
        child is not None and _has_defaults(child) for child in children
    )


def _whole(own: Structural, schemas: Schemas) -> Structural:
    type_meta = {
        "apiVersion": Structural(type="string"),
        "kind": Structural(type="string"),
        "metadata": schemas.definition(_META + "ObjectMeta"),
    }
    whole = _with_type_meta(own, type_meta)
    return replace(whole, properties={**whole.properties, **type_meta})


def _with_type_meta(node: Structural, type_meta: dict[str, Structural]) -> Structural:
    """The node with what every object has in all objects that are embedded, as `_embed` publishes it."""
    properties = {name: _with_type_meta(child, type_meta) for name, child in node.properties.items()}
    items = node.items and _with_type_meta(node.items, type_meta)
    additional = node.additional and _with_type_meta(node.additional, type_meta)
    same = all(properties[name] is child for name, child in node.properties.items())
    if same and items is node.items and additional is node.additional and not node.embedded:
        return node
    if node.embedded:
        properties |= type_meta
    return replace(
        node, properties=properties, items=items, additional=additional, embedded=False, check=None
    )


def _strategy(own: Structural, version: Object, has_status: bool) -> Strategy:
    with COMPILED.timed():
        rules = Rules(own)

    judge = Judge(own, rules, (version.get("subresources") or {}).get("scale") or {})
    fields = {
        entry["jsonPath"].lstrip("."): partial(_selected, entry["jsonPath"])
        for entry in version.get("selectableFields") or ()
    }
    return CustomStrategy(
        defaults=partial(structural.default, schema=own),
        validate=judge.of_new,
        validate_update=judge.of_changed,
        validate_status_update=judge.of_status,
        warnings=finalizer_warnings,
        judges_metadata=bool(rules),
        has_status=has_status,
        has_generation=True,
        allow_unconditional_update=False,
        columns=columns_of(version.get("additionalPrinterColumns") or ()),
        selectable_fields=fields,
    )


def _selected(path: str, obj: Object) -> str:
    return json_path.text(obj, path)


def _subresources(api_version: str, kind: str, wanted: Object) -> dict[str, Subresource]:
    found: dict[str, Subresource] = {}
    if wanted.get("status") is not None:
        found["status"] = status(api_version, kind)
    if (paths := wanted.get("scale")) is not None:
        found["scale"] = Subresource(
            "scale",
            SCALE,
            view=partial(_scale, paths),
            check=partial(_must_have_replicas, paths),
            merge=partial(_scaled, paths),
            columns=scale_of_custom(paths),
        )
    return found


def _scale(paths: Object, obj: Object) -> Object:
    selector = json_path.text(obj, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else ""
    wanted = json_path.first(obj, paths["specReplicasPath"])
    return scale_of(obj, wanted, json_path.first(obj, paths["statusReplicasPath"]), selector)


def _must_have_replicas(paths: Object, obj: Object) -> None:
    """A Scale can be written where there was no number, but not read."""
    if json_path.first(obj, paths["specReplicasPath"]) is None:
        text = f'the spec replicas field "{paths["specReplicasPath"]}" does not exist'
        raise errors.InternalError.because(text)


def _scaled(paths: Object, stored: Object, window: Object) -> Object:
    changed = copy(stored)
    json_path.put(changed, paths["specReplicasPath"], replicas_of(window))
    carry_preconditions(changed, window)
    return changed
