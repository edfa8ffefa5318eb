"""The one workflow that every write of every kind goes through.

    create   system fields ─▶ strategy prepares ─▶ strategy validates ─▶ admission judges ─▶ storage keeps
    update   current state ─▶ change ─▶ the same ─▶ storage replaces; again from the start if somebody was faster

Objects are in the version in which they are kept. What comes out is a `Stored`: shared and read-only.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver.registry import metadata as meta
from apiserver.registry.resource import Resource, Subresource
from apiserver.request import RequestContext
from apiserver.storage import interface as storage_errors
from apiserver.storage.interface import Storage, Stored
from kubarium.apimachinery import errors, names, time
from kubarium.apimachinery.field_path import METADATA, FieldError
from kubarium.apimachinery.object import Object, metadata_of, name_of
from kubarium.component_base.clock import Clock

Judge = Callable[[Object, Object | None], Awaitable[None]]
"""Admission's last word on (new, old); raises to refuse."""

Change = Callable[[Object | None], Awaitable[Object]]
"""Makes the new object from a read-only current one; called again when somebody was faster. None: it does not exist."""

GENERATE_NAME_ATTEMPTS = 8


_HEAD = ("kind", "apiVersion")


class Unstored:
    """An object that looks like one from storage: dry runs, and other versions of what is kept."""

    __slots__ = ("_json", "key", "obj", "revision")

    def __init__(self, key: str, obj: Object, revision: int = 0) -> None:
        self.key, self.obj, self.revision = key, obj, revision
        self._json = b""

    @property
    def head(self) -> bytes:
        """`{"kind":"Pod","apiVersion":"v1",`."""
        return orjson.dumps({name: self.obj.get(name) for name in _HEAD})[:-1] + b","

    @property
    def tail(self) -> bytes:
        """What is behind the head: typed lists do not repeat it."""
        return orjson.dumps({name: value for name, value in self.obj.items() if name not in _HEAD})[1:]

    @property
    def json(self) -> bytes:
        """The object as it goes to clients."""
        if not self._json:
            self._json = orjson.dumps(self.obj)
        return self._json


Shown = Stored | Unstored
"""What a client may be shown."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind."""

    stored: Shown
    created: bool = False
    deleted: bool = False


@dataclass
class Registry:
    """Creates and updates objects of any kind; `deletion.py` deletes them."""

    storage: Storage
    clock: Clock
    addresses: Any = None  # of Services: a `core.service_addresses.ServiceAddresses`
    reviewer: Any = None  # answers token and access reviews: a `reviews.Reviewer`
    observe: Callable[[], Awaitable[list[Object]]] | None = None  # ComponentStatuses
    event_seconds: int = 0  # how long events are kept; 0: for ever
    issue_token: Callable[..., Awaitable[Object]] | None = None  # for serviceaccounts/token
    resources: Callable[[str, str], Resource] = field(default=lambda group, plural: _no_row(group, plural))

    def now(self) -> str:
        """The time as it stands in objects."""
        return time.format_time(self.clock.now())

    async def get(self, row: Resource, namespace: str, name: str, *, newest: bool = False) -> Stored:
        """One object; any cached state will do unless the newest is asked for."""
        with _translated(row, name):
            return await self.storage.get(row.key(namespace, name), minimum_revision=None if newest else 0)

    async def observed(self, row: Resource) -> list[Stored]:
        """All objects of a kind that is looked at instead of kept, in the form of kept ones."""
        found = await self.observe() if self.observe is not None else []
        head = orjson.dumps({"kind": row.kind, "apiVersion": row.api_version})[:-1] + b","
        return [Stored(row.key("", name_of(obj)), 0, head, orjson.dumps(obj)[1:]) for obj in found]

    async def create(self, row: Resource, context: RequestContext, obj: Object, judge: Judge) -> Shown:
        """Keep a new object. A generated name that is taken is generated anew."""
        strategy = row.strategy
        metadata = metadata_of(obj)
        self._fill_system_fields(row, context, metadata)
        generated = not metadata.get("name") and bool(metadata.get("generateName"))
        attempts = GENERATE_NAME_ATTEMPTS if generated else 1
        if generated:
            metadata["name"] = names.generate_name(metadata["generateName"])
        strategy.prepare_for_create(context, obj)
        raise_invalid(row, obj, self._creation_errors(row, obj))
        _warn(context, strategy.warnings(obj, None))
        undo = await strategy.begin_create(self, context, obj) if strategy.has_transactions else None
        try:
            await judge(obj, None)
            while True:
                attempts -= 1
                try:
                    return await self._keep(row, context, obj)
                except errors.AlreadyExists:
                    if attempts <= 0:
                        raise
                    metadata["name"] = names.generate_name(metadata["generateName"])
        except BaseException:
            if undo is not None:
                await undo()
            raise

    async def update(
        self,
        row: Resource,
        context: RequestContext,
        namespace: str,
        name: str,
        change: Change,
        judge: Judge,
        *,
        subresource: Subresource | None = None,
        create: Judge | None = None,
        unconditional: bool = False,
    ) -> Written:
        """Change an object, starting from the cached state and again from the newest until nobody was faster.

        `create` judges the object where an update may create it; without it a missing object is NotFound.
        `unconditional` is for patches: they start from what is there, with its resourceVersion and uid.
        """
        key = row.key(namespace, name)
        newest = False
        while True:
            try:
                current = await self.storage.get(key, minimum_revision=None if newest else 0)
            except storage_errors.KeyNotFound:
                if not newest:
                    newest = True
                    continue
                if create is None:
                    raise errors.NotFound.of(row.group, row.plural, name) from None
                return await self._create_by_update(row, context, name, change, create)
            old = orjson.loads(
                current.json
            )  # a state that is about to be replaced is not worth keeping decoded
            if row.reread is not None:
                old = row.reread(old)
            try:
                new = await self._prepared(row, context, old, await change(old), subresource, unconditional)
                if new is not old or newest:  # what changes nothing is judged, too, once it is certain
                    await judge(new, old)
            except errors.StatusError:
                if newest or await self.is_newest(key, current.revision):
                    raise
                newest = True  # perhaps it was refused only because the cache lags behind
                continue
            same = new is old and not self.storage.is_outdated(key)
            if same and not newest:  # nothing to write: make sure that it is still so
                newest = True
                if not await self.is_newest(key, current.revision):
                    continue
                await judge(new, old)
            if same or context.dry_run:
                return Written(
                    current if new is old else Unstored(key, await _rehearsed(row, new), current.revision)
                )
            try:
                if new is not old and row.strategy.is_finished(new):
                    return await self._remove_finished(row, context, current, new)
                return Written(await self._replace(row, context, current, new, old))
            except storage_errors.RevisionConflict:
                newest = True

    async def is_newest(self, key: str, revision: int) -> bool:
        """Has the object not changed since?"""
        try:
            return (await self.storage.get(key)).revision == revision
        except storage_errors.KeyNotFound:
            return False

    def _fill_system_fields(self, row: Resource, context: RequestContext, metadata: Object) -> None:
        if metadata.get("resourceVersion"):
            raise errors.BadRequest("resourceVersion should not be set on objects to be created")
        for field_name in (
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
            "generation",
        ):
            metadata.pop(field_name, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = self.now()
        if row.namespaced:
            metadata["namespace"] = context.info.namespace
        elif not metadata.get("namespace"):
            metadata.pop("namespace", None)

    def _creation_errors(self, row: Resource, obj: Object) -> list[FieldError]:
        strategy = row.strategy
        found = meta.errors_of(
            obj["metadata"],
            namespaced=row.namespaced,
            name_errors=strategy.name_errors,
            finalizers_with_domain=strategy.finalizers_with_domain,
        )
        return [*found, *strategy.validate(obj)]

    async def _keep(self, row: Resource, context: RequestContext, obj: Object) -> Shown:
        name = name_of(obj)
        key = row.key(context.info.namespace, name)
        if context.dry_run:
            try:
                await self.storage.get(key)
            except storage_errors.KeyNotFound:
                return Unstored(key, await _rehearsed(row, obj))
            raise errors.AlreadyExists.of(row.group, row.plural, name)
        with _translated(row, name):
            return await self.storage.create(key, obj, ttl=self._ttl(row))

    def _ttl(self, row: Resource) -> int:
        return self.event_seconds if row.strategy.expires else 0

    async def _create_by_update(
        self, row: Resource, context: RequestContext, name: str, change: Change, judge: Judge
    ) -> Written:
        obj = await change(None)
        metadata_of(obj).pop("resourceVersion", None)
        return Written(await self.create(row, context, obj, judge), created=True)

    async def _prepared(
        self,
        row: Resource,
        context: RequestContext,
        old: Object,
        new: Object,
        subresource: Subresource | None,
        unconditional: bool,
    ) -> Object:
        """The object to be kept, valid; the current one itself when nothing has changed."""
        if new is old:
            return new
        self._check_revision(row, new, old, unconditional)
        strategy = row.strategy
        metadata = metadata_of(new)
        meta.carry_over(metadata, old["metadata"])
        metadata["generation"] = old["metadata"].get("generation")
        if metadata["generation"] is None:
            del metadata["generation"]
        if subresource is None or subresource.merge is not None:  # a window changes the object itself
            strategy.prepare_for_update(context, new, old)
            judged = strategy.validate_update
        elif subresource.prepare is not None:
            subresource.prepare(context, new, old)
            judged = subresource.validate_update or strategy.validate_update
        else:
            strategy.prepare_for_status_update(context, new, old)
            judged = strategy.validate_status_update
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old:
            return old
        found = meta.update_errors(
            metadata, old["metadata"], finalizers_with_domain=strategy.finalizers_with_domain
        )
        if strategy.judges_metadata or _differ_outside_metadata(new, old):
            found += judged(new, old)
        _warn(context, [str(error) for error in found if error.tolerated])
        raise_invalid(row, new, [error for error in found if not error.tolerated])
        if subresource is None:
            _warn(context, strategy.warnings(new, old))
        return new

    async def _replace(
        self, row: Resource, context: RequestContext, current: Stored, new: Object, old: Object
    ) -> Stored:
        strategy = row.strategy
        if not strategy.has_transactions:
            with _translated(row, name_of(new)):
                return await self.storage.replace(current.key, new, current.revision, ttl=self._ttl(row))
        undo = await strategy.begin_update(self, context, new, old)
        try:
            with _translated(row, name_of(new)):
                return await self.storage.replace(current.key, new, current.revision, ttl=self._ttl(row))
        except BaseException:
            if undo is not None:
                await undo()
            raise

    def _check_revision(self, row: Resource, new: Object, old: Object, unconditional: bool) -> None:
        wanted = metadata_of(new).get("resourceVersion")
        if not wanted or wanted == "0":
            if not row.strategy.allow_unconditional_update:
                text = "Invalid value: 0: must be specified for an update"
                error = FieldError("FieldValueInvalid", METADATA / "resourceVersion", text)
                raise errors.Invalid.of(row.group, row.plural, name_of(new), [error])
        elif wanted != old["metadata"]["resourceVersion"]:
            raise errors.Conflict.of(row.group, row.plural, name_of(old), errors.MODIFIED_MEANWHILE)
        uid = new["metadata"].get("uid")
        if (
            uid and uid != old["metadata"]["uid"] and not unconditional
        ):  # a patch would change it, and may not
            key = row.key(old["metadata"].get("namespace") or "", name_of(old)).removeprefix("/registry")
            text = (
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            )
            raise errors.Conflict.of(row.group, row.plural, name_of(old), text)

    async def _remove_finished(
        self, row: Resource, context: RequestContext, current: Stored, new: Object
    ) -> Written:
        """The last finalizer went: the object goes, unless somebody changed it since we looked."""

        def unchanged(newest: Stored) -> None:
            if newest.revision != current.revision:
                raise storage_errors.RevisionConflict(current.key)

        if not context.dry_run:
            with _translated(row, name_of(new)):
                await self.storage.delete(current.key, unchanged)
            await row.strategy.after_delete(self, context, new)
        return Written(Unstored(current.key, new, current.revision), deleted=True)


async def _rehearsed(row: Resource, obj: Object) -> Object:
    """What a dry run shows: where objects are converted to be kept, that is done for it, too."""
    return await row.rehearse(obj) if row.rehearse is not None else obj


def _differ_outside_metadata(new: Object, old: Object) -> bool:
    """What has not changed was valid before: labels and annotations change far more often than specs."""
    return len(new) != len(old) or any(
        value is not old.get(key) and value != old.get(key) for key, value in new.items() if key != "metadata"
    )


def _no_row(group: str, plural: str) -> Resource:
    raise errors.NotFound.page()


def raise_invalid(row: Resource, obj: Object, found: Sequence[FieldError]) -> None:
    """Refuse the object if there is anything to complain about."""
    if found:
        group = row.group if row.strategy.error_group is None else row.strategy.error_group
        raise errors.Invalid.of(group, row.kind, name_of(obj), found)


def _warn(context: RequestContext, texts: Sequence[str]) -> None:
    for text in texts:
        context.warn(text)


class _translated:
    """Storage's failures become answers. A class, because this stands on the hottest paths."""

    __slots__ = ("name", "row")

    def __init__(self, row: Resource, name: str) -> None:
        self.row, self.name = row, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, storage_errors.StorageError):
            raise_translated(self.row, self.name, error)


def raise_translated(row: Resource, name: str, error: storage_errors.StorageError) -> None:
    """Raise the `StatusError` that says what storage said; RevisionConflict is the caller's own business."""
    match error:
        case storage_errors.KeyNotFound():
            raise errors.NotFound.of(row.group, row.plural, name) from None
        case storage_errors.KeyExists():
            raise errors.AlreadyExists.of(row.group, row.plural, name) from None
        case storage_errors.StorageRefused():
            raise errors.InternalError(str(error), {}) from None
        case storage_errors.StorageUnavailable():
            raise errors.ServiceUnavailable(str(error) or "etcd does not answer") from error
