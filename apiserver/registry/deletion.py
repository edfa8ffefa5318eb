"""How an object goes: preconditions, grace, finalizers, and at last from storage.

    preconditions hold? ─▶ finalizers or grace?  yes ─▶ keep it with a deletionTimestamp; a kubelet, a controller or the
                                    │                   garbage collector deletes it, or empties its finalizers, later
                                    no ─▶ remove it

Upstream: `rest.BeforeDelete` and `Store.Delete`.
"""

from __future__ import annotations

from datetime import timedelta

from apiserver.registry import metadata as meta
from apiserver.registry.resource import Resource
from apiserver.registry.store import Judge, Registry, Unstored, Written, raise_translated
from apiserver.request import RequestContext
from apiserver.storage import interface as storage_errors
from apiserver.storage.interface import Stored
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.field_path import ROOT, FieldError, invalid, not_supported
from kubarium.apimachinery.object import Object, copy, generation_of, metadata_of, name_of

BACKGROUND, FOREGROUND, ORPHAN = "Background", "Foreground", "Orphan"


class _Moved(Exception):
    """The object changed between decision and deed."""


def options_errors(options: Object) -> list[FieldError]:
    """What is wrong with DeleteOptions."""
    found = []
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy is not None and orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        found.append(invalid(ROOT / "propagationPolicy", policy, text))
    if policy is not None and policy not in (FOREGROUND, BACKGROUND, ORPHAN):
        found.append(not_supported(ROOT / "propagationPolicy", policy, (FOREGROUND, BACKGROUND, ORPHAN)))
    dry_run = options.get("dryRun") or []
    if any(value != "All" for value in dry_run):
        found.append(not_supported(ROOT / "dryRun", dry_run, ("All",)))
    return found


async def delete(
    registry: Registry,
    row: Resource,
    context: RequestContext,
    namespace: str,
    name: str,
    options: Object,
    judge: Judge | None = None,
) -> Written:
    """Delete one object, or begin to. `deleted` says whether it is gone."""
    key = row.key(namespace, name)
    newest = False
    while True:
        try:
            current = await registry.storage.get(key, minimum_revision=None if newest else 0)
            obj = current.decode()
            check_preconditions(row, obj, options.get("preconditions") or {})
            if judge is not None:
                await judge(obj, obj)
            return await _delete_state(registry, row, context, current, obj, options)
        except storage_errors.KeyNotFound:
            if newest:
                raise errors.NotFound.of(row.group, row.plural, name) from None
        except errors.Conflict:
            if newest or await registry.is_newest(key, current.revision):
                raise
        except (_Moved, storage_errors.RevisionConflict):
            pass
        except storage_errors.StorageError as error:
            raise_translated(row, name, error)
            raise
        newest = True


async def _delete_state(
    registry: Registry, row: Resource, context: RequestContext, current: Stored, obj: Object, options: Object
) -> Written:
    marked = _marked(registry, row, context, obj, options)
    if marked is None or row.strategy.is_finished(marked):
        return await _remove(registry, row, context, current, options)
    if marked == obj:
        return Written(current)
    if context.dry_run:
        return Written(Unstored(current.key, marked, current.revision))
    return Written(await registry.storage.replace(current.key, marked, current.revision))


def check_preconditions(row: Resource, obj: Object, preconditions: Object) -> None:
    """The uid and the resourceVersion that the client thinks it deletes."""
    uid, revision = preconditions.get("uid"), preconditions.get("resourceVersion")
    metadata = obj["metadata"]
    if uid is not None and uid != metadata.get("uid"):
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({metadata.get('uid')}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.Conflict.of(row.group, row.kind, name_of(obj), why)
    if revision is not None and revision != metadata.get("resourceVersion"):
        why = (
            f"the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record "
            f"({metadata.get('resourceVersion')}). The object might have been modified"
        )
        raise errors.Conflict.of(row.group, row.kind, name_of(obj), why)


def _marked(
    registry: Registry, row: Resource, context: RequestContext, obj: Object, options: Object
) -> Object | None:
    """The object as it waits for its end; None when nothing has to be waited for."""
    strategy = row.strategy
    asked = options.get("gracePeriodSeconds")
    grace = max(strategy.grace_seconds(obj, asked), 0)
    finalizers = finalizers_after(row, obj, options)
    metadata = obj["metadata"]
    if not finalizers and not grace and not strategy.must_wait(obj):
        return None
    marked = copy(obj)
    wanted = metadata_of(marked)
    if finalizers:
        wanted["finalizers"] = finalizers
    else:
        wanted.pop("finalizers", None)
    _set_deadline(registry, wanted, metadata, grace, asked)
    if not metadata.get("deletionTimestamp"):
        if metadata.get("generation"):
            wanted["generation"] = generation_of(obj) + 1
        strategy.after_begin_delete(context, marked)
    return marked


def _set_deadline(
    registry: Registry, wanted: Object, metadata: Object, grace: int, asked: int | None
) -> None:
    """A second deletion may only shorten the time that is left."""
    now = registry.clock.now()
    if not metadata.get("deletionTimestamp"):
        wanted["deletionTimestamp"] = time.format_time(now + timedelta(seconds=grace))
        wanted["deletionGracePeriodSeconds"] = grace
        return
    before = metadata.get("deletionGracePeriodSeconds") or 0
    if asked is not None and grace < before:
        began = time.parse_time(metadata["deletionTimestamp"]) - timedelta(seconds=before)
        wanted["deletionTimestamp"] = time.format_time(began + timedelta(seconds=grace))
        wanted["deletionGracePeriodSeconds"] = grace


def finalizers_after(row: Resource, obj: Object, options: Object) -> list[str]:
    """The finalizers with those of the garbage collector set or taken away as the propagation policy wants."""
    present = list(obj["metadata"].get("finalizers") or ())
    orphan, foreground = _garbage_collection(row, present, options)
    kept = [name for name in present if name not in (meta.ORPHAN, meta.FOREGROUND)]
    if orphan:
        kept.append(meta.ORPHAN)
    if foreground:
        kept.append(meta.FOREGROUND)
    return present if set(kept) == set(present) else kept


def _garbage_collection(row: Resource, present: list[str], options: Object) -> tuple[bool, bool]:
    policy, orphan_dependents = options.get("propagationPolicy"), options.get("orphanDependents")
    if row.strategy.never_collected:
        return False, False
    if orphan_dependents is not None:
        return bool(orphan_dependents), False
    if policy is not None:
        return policy == ORPHAN, policy == FOREGROUND
    if meta.ORPHAN in present or meta.FOREGROUND in present:
        return meta.ORPHAN in present, meta.FOREGROUND in present
    return row.strategy.orphans_by_default, False


async def _remove(
    registry: Registry, row: Resource, context: RequestContext, current: Stored, options: Object
) -> Written:
    if context.dry_run:
        return Written(current, deleted=True)

    def check(newest: Stored) -> None:
        if newest.revision != current.revision:
            raise _Moved

    gone = await registry.storage.delete(current.key, check)
    if row.strategy.has_transactions:
        await row.strategy.after_delete(registry, context, gone.obj)
    return Written(gone, deleted=True)
