"""What create, update and patch have in common: admission's attributes, defaults, managed fields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from apiserver.admission.plugin import CREATE, UPDATE, Attributes
from apiserver.endpoints import body
from apiserver.endpoints.server import Endpoints
from apiserver.registry import metadata as meta
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.store import Judge
from apiserver.request import RequestContext, first
from kubarium.apimachinery import errors
from kubarium.apimachinery.apply import managed_fields
from kubarium.apimachinery.apply.managed_fields import Writer
from kubarium.apimachinery.apply.versions import Steps
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object, metadata_of, name_of
from kubarium.apimachinery.schema.structural import ANY, Structural

_REPEATED_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries{}; API server dedups owner references in 1.20+, and may "
    "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}"
)
STATUS_RESET = (("status",),)
SPEC_RESET = (("spec",),)
METADATA_RESET = (("metadata",),)


def subresource_of(row: Resource, context: RequestContext) -> Subresource | None:
    """The subresource that the URL names, if any. Raises NotFound for one that the row does not have."""
    name = context.info.subresource
    if not name:
        return None
    found = row.subresources.get(name)
    if found is None:
        raise errors.NotFound.page()
    return found


def attributes_of(
    row: Resource,
    context: RequestContext,
    operation: str,
    obj: Object | None,
    old: Object | None,
    *,
    kind: GroupVersionKind | None = None,
    options: Object | None = None,
) -> Attributes:
    """What admission is told. The namespace of a Namespace is its own name."""
    info = context.info
    name = info.name or (name_of(obj) if obj is not None else "")
    namespace = info.namespace or (name if row.plural == "namespaces" and not row.group else "")
    return Attributes(
        context,
        operation,
        kind or row.gvk,
        row.gvr,
        info.subresource,
        namespace,
        name,
        obj,
        old,
        _options_of_query(context) if options is None else options,
    )


def _options_of_query(context: RequestContext) -> Object:
    """What a write says besides its object."""
    query = context.query
    options: Object = {
        name: text for name in ("fieldManager", "fieldValidation") if (text := first(query, name))
    }
    if dry_run := query.get("dryRun"):
        options["dryRun"] = list(dry_run)
    return options


class Writing:
    """One write on its way: admission changes the object, then judges it; what a failed write reserved is undone."""

    def __init__(self, endpoints: Endpoints, row: Resource, context: RequestContext) -> None:
        self._endpoints = endpoints
        self._row = row
        self._context = context
        self._undo: list[Callable[[], Awaitable[None]]] = []
        self.schema: Structural | None = (
            row.custom.schema if row.custom is not None else endpoints.schemas.schema(row.gvk)
        )

    async def admit(self, obj: Object, old: Object | None) -> Object:
        """The object after all mutating plugins, defaults filled in once more."""
        operation = CREATE if old is None else UPDATE
        attributes = attributes_of(self._row, self._context, operation, obj, old)
        attributes.settle = self._row.strategy.defaults
        await self._endpoints.admission.admit(attributes)
        assert attributes.obj is not None
        if self._row.custom is not None:
            self._row.custom.prune(attributes.obj)  # webhooks and policies may have added anything
        self._row.strategy.defaults(attributes.obj)
        self.drop_repeated_owners(attributes.obj, " after mutating admission happens")
        return attributes.obj

    def drop_repeated_owners(self, obj: Object, when: str = "") -> None:
        """Owners that stand there twice are one; whoever wrote them is told."""
        if repeated := meta.drop_repeated_owners(metadata_of(obj)):
            self._context.warn(_REPEATED_OWNERS.format(when, ", ".join(repeated)))

    def judge(self) -> Judge:
        """Admission's last word, for the registry."""

        async def judge(new: Object, old: Object | None) -> None:
            await self.undo()
            operation = CREATE if old is None else UPDATE
            attributes = attributes_of(self._row, self._context, operation, new, old)
            try:
                await self._endpoints.admission.validate(attributes)
            finally:
                self._undo = attributes.undo

        return judge

    async def undo(self) -> None:
        """Give back what admission reserved for a write that did not happen."""
        pending, self._undo = self._undo, []
        for step in reversed(pending):
            await step()

    async def note_fields(self, live: Object | None, new: Object, subresource: str = "") -> None:
        """Write down who owns which field, in the version of the request."""
        writer, reset = self.writer(subresource), reset_of(self._row, subresource)
        before = self._shown(live) if live is not None else None
        after = self._shown(new)
        try:
            steps = managed_fields.updating(before, after, writer, self.schema, reset, self._versions)
            await self._converted(steps)
        except errors.StatusError:  # who owns what is no reason to refuse the write
            managed_fields.update(before, after, writer, self.schema, reset)
        meta.keep_managed_fields(metadata_of(new), metadata_of(after))

    async def applied(self, live: Object | None, config: Object, subresource: str, force: bool) -> Object:
        """The object as it would be kept with a configuration applied."""
        row = self._row
        if row.custom is not None and row.to_storage is not None:
            config = row.to_storage(config)
        before = self._shown(live) if live is not None else None
        writer, reset = self.writer(subresource), reset_of(row, subresource)
        merged = await self._converted(
            managed_fields.applying(before, config, writer, self.schema, force, reset, self._versions)
        )
        # Where versions have but their name to tell them apart, nobody else converts what is kept.
        return row.to_storage(merged) if row.to_storage is not None else merged

    def _shown(self, kept: Object) -> Object:
        """A kept object of a built-in kind in the version of the request; custom resources are told apart by name."""
        if self._row.custom is not None or self._row.from_storage is None:
            return kept
        return self._row.from_storage(kept)

    @property
    def _versions(self) -> Mapping[str, Structural]:
        """The schemas of all versions in which the object is known; none where there is only one."""
        if self._row.custom is not None:
            found: Mapping[str, Structural] = self._row.custom.versions
            return found
        if self._form is None:
            return managed_fields.NO_OTHERS
        kinds = (self._form.gvk, _storage_kind(self._form))
        return {kind.api_version: self._endpoints.schemas.schema(kind) or ANY for kind in kinds}

    @property
    def _form(self) -> Resource | None:
        """The row of a built-in kind that is not shown as it is kept."""
        return self._row if self._row.from_storage is not None else self._row.other_form

    async def _converted(self, steps: Steps) -> Object:
        """The result of steps that want objects in other versions."""
        try:
            objects, version = next(steps)
            while True:
                objects, version = steps.send(await self._in_version(objects, version))
        except StopIteration as done:
            result: Object = done.value
            return result

    async def _in_version(self, objects: Sequence[Object], version: str) -> list[Object]:
        if self._row.custom is not None:
            converted: list[Object] = await self._row.custom.converted(objects, version)
            return converted
        assert self._form is not None
        convert = self._form.from_storage if version == self._form.api_version else self._form.to_storage
        assert convert is not None
        return [convert(obj) for obj in objects]

    def writer(self, subresource: str = "") -> Writer:
        """Who writes, now."""
        now = self._endpoints.registry.now()
        return Writer(body.manager_of(self._context), self._row.api_version, now, subresource)


def reset_of(row: Resource, subresource: str) -> Sequence[tuple[str, ...]]:
    """The fields that this endpoint ignores, so that nobody comes to own them through it."""
    if subresource == "status":
        return SPEC_RESET if row.custom is None else SPEC_RESET + METADATA_RESET
    if not subresource and row.strategy.has_status and "status" in row.subresources:
        return STATUS_RESET
    return ()


def _storage_kind(row: Resource) -> GroupVersionKind:
    if not row.storage_version:
        return row.gvk
    group, _, version = row.storage_version.rpartition("/")
    return GroupVersionKind(group, version, row.kind)


def check_place(row: Resource, context: RequestContext, obj: Object) -> None:
    """The namespace and the name in the body must be those of the URL; an absent one is filled in."""
    metadata, info = metadata_of(obj), context.info
    namespace = metadata.get("namespace") or ""
    if row.namespaced and not namespace:
        metadata["namespace"] = info.namespace
    elif row.namespaced and namespace != info.namespace:
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.BadRequest(text)
    elif not row.namespaced:
        metadata.pop("namespace", None)
