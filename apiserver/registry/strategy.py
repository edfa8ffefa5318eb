"""The hooks that a kind may fill in; every one has a harmless default.

A strategy has no state and does no I/O. Validation itself stands with the noun in `kubarium/api/<group>/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from apiserver.request import RequestContext
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, copy, generation_of, metadata_of


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`. `priority` 0 is always shown, others with `-o wide`."""

    name: str
    cell: Callable[..., Any]  # of the object; of the object and the time where `needs_now`
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    is_moment: bool = False  # the cell is a time as text; shown is how long ago that was
    needs_now: bool = False
    about: str = ""  # the field whose published description is the column's: `core.v1.PodStatus.podIP`
    has_definition: bool = True  # else there are only cells, without a head


METADATA_OF_THE_WISH = ("annotations", "deletionTimestamp", "finalizers", "labels", "ownerReferences")
"""What upstream's newer kinds keep from writers of statuses (`metav1.ResetObjectMetaForStatus`)."""

Undo = Callable[[], Awaitable[None]]


def _no_validation(obj: Object) -> Sequence[FieldError]:
    return ()


def _no_update_validation(new: Object, old: Object) -> Sequence[FieldError]:
    return ()


def _no_defaults(obj: Object) -> None:
    return None


@dataclass(frozen=True)
class Strategy:
    """What is special about a kind. Most kinds only name functions; some subclass."""

    defaults: Callable[[Object], None] = _no_defaults  # fills absent fields in place
    validate: Callable[[Object], Sequence[FieldError]] = _no_validation
    validate_update: Callable[[Object, Object], Sequence[FieldError]] = _no_update_validation
    validate_status_update: Callable[[Object, Object], Sequence[FieldError]] = _no_update_validation
    name_errors: Callable[[str], list[str]] = names.dns_subdomain_errors
    error_group: str | None = None  # the group that errors name, where upstream keeps the kind in another one
    finalizers_with_domain: bool = True  # `mine` is no finalizer, `example.com/mine` is
    has_status: bool = True  # `status` is written through the status subresource only
    has_generation: bool = False  # metadata.generation counts changes of the wish
    allow_create_on_update: bool = False
    allow_unconditional_update: bool = True
    orphans_by_default: bool = False
    initial_status: Mapping[str, Any] = field(default_factory=dict)  # what a new object's status says
    columns: Sequence[Column] = ()
    row_conditions: Callable[[Object], list[dict[str, Any]] | None] | None = None
    row_order: Callable[[Object], Any] | None = (
        None  # of the rows of a table; lists are in the order of names
    )
    selectable_fields: Mapping[str, FieldGetter] = field(
        default_factory=dict
    )  # besides metadata.name and .namespace
    warnings: Callable[[Object, Object | None], Sequence[str]] = lambda new, old: ()

    status_keeps: Sequence[str] = ()  # metadata that the status subresource may not change

    judges_metadata: bool = False  # a change of the metadata alone may be wrong by the noun's own rules
    has_transactions: bool = False  # begin_create, begin_update and after_delete do something
    expires: bool = False  # events are kept for a while only
    never_collected: bool = False  # events: the garbage collector does not look at them
    returns_deleted: bool = False  # a deletion answers with the object instead of a Status

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        """Clear what a client may not set; set what the server knows."""
        if self.has_status:
            # Clients in typed languages expect a status to be there, however empty.
            obj["status"] = copy(dict(self.initial_status))
        if self.has_generation:
            metadata_of(obj)["generation"] = 1

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        """Carry over what this endpoint must not change; count the generation."""
        if self.has_status:
            keep(new, old, "status")
        if self.has_generation:
            generation = generation_of(old)
            if self.wish_of(new) != self.wish_of(old):
                generation += 1
            metadata_of(new)["generation"] = generation

    def prepare_for_status_update(self, context: RequestContext, new: Object, old: Object) -> None:
        """On the status subresource everything but status and some metadata stays as it was."""
        for field_name in [
            name for name in {*new, *old} if name not in ("status", "metadata", "apiVersion", "kind")
        ]:
            keep(new, old, field_name)
        for field_name in self.status_keeps:
            keep(metadata_of(new), old["metadata"], field_name)

    def wish_of(self, obj: Object) -> Any:
        """The part whose change counts as a new generation."""
        return obj.get("spec")

    def grace_seconds(self, obj: Object, asked: int | None) -> int:
        """How long the object may live on after a deletion was asked for; 0 for everything but pods."""
        return 0

    def must_wait(self, obj: Object) -> bool:
        """Does something other than finalizers and grace keep the object from going at once? Namespaces."""
        return False

    def after_begin_delete(self, context: RequestContext, obj: Object) -> None:
        """Called on the copy that gets its deletionTimestamp, before it is kept."""

    def is_finished(self, obj: Object) -> bool:
        """Is this the state of a deleted object that nobody waits for any more?"""
        metadata = obj["metadata"]
        return bool(
            metadata.get("deletionTimestamp")
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
        )

    async def begin_create(self, registry: Any, context: RequestContext, obj: Object) -> Undo | None:
        """Take what the new object needs; returns how to give it back if the object is not kept after all."""
        return None

    async def begin_update(
        self, registry: Any, context: RequestContext, new: Object, old: Object
    ) -> Undo | None:
        """The same for a change."""
        return None

    async def after_delete(self, registry: Any, context: RequestContext, obj: Object) -> None:
        """Give back what the object had."""


def keep(new: Object, old: Object, field_name: str) -> None:
    """Overwrite a field of the new object with the old one's."""
    if field_name in old:
        new[field_name] = copy({"x": old[field_name]})["x"]
    else:
        new.pop(field_name, None)


def of_noun(*nouns: ModuleType, **special: Any) -> Strategy:
    """A strategy with what a noun's modules in `kubarium/api/` offer, and what is special besides.

    A module may have `fill_defaults(obj)`, `validate(obj)`, `validate_update(new, old)`,
    `validate_status_update(new, old)` and `warnings(new, old)`.
    """
    return Strategy(**offers_of(*nouns) | special)


def offers_of(*nouns: ModuleType) -> dict[str, Any]:
    """The functions of a noun's modules, as arguments of a strategy."""
    return {
        argument: getattr(noun, function)
        for noun in nouns
        for argument, function in _OFFERS.items()
        if hasattr(noun, function)
    }


_OFFERS = {
    "defaults": "fill_defaults",
    "validate": "validate",
    "validate_update": "validate_update",
    "validate_status_update": "validate_status_update",
    "warnings": "warnings",
}
