"""What a plugin is told about a write, and the two hooks it may fill in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from apiserver.request import RequestContext, User
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource
from kubarium.apimachinery.object import Object

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(slots=True)
class Attributes:
    """One write on its way to storage. Mutating plugins change `obj` in place or replace it."""

    context: RequestContext
    operation: str
    kind: GroupVersionKind
    resource: GroupVersionResource
    subresource: str
    namespace: str
    name: str
    obj: Object | None  # None for DELETE
    old: Object | None  # None for CREATE; read-only
    options: Object = field(default_factory=dict)  # CreateOptions, UpdateOptions, PatchOptions, DeleteOptions
    undo: list[Callable[[], Awaitable[None]]] = field(
        default_factory=list
    )  # run if the write fails after admission

    @property
    def user(self) -> User:
        """Who writes."""
        return self.context.user

    @property
    def dry_run(self) -> bool:
        """Will nothing be kept?"""
        return self.context.dry_run

    def is_for(self, group: str, *resources: str, subresource: str = "") -> bool:
        """Is it a write of one of these resources, whatever the version?"""
        same_place = self.resource.group == group and self.resource.resource in resources
        return same_place and self.subresource == subresource


class AdmissionPlugin:
    """Overrides what it needs. Refuses with `errors.Forbidden` or another `StatusError`."""

    name = ""
    operations: frozenset[str] = frozenset({CREATE, UPDATE})

    async def admit(self, attributes: Attributes) -> None:
        """Change the object. May be called a second time after webhooks changed it: must be idempotent."""

    async def validate(self, attributes: Attributes) -> None:
        """Judge the object."""


class Admission:
    """What endpoints and registry see of the chain; this one lets everything pass."""

    async def admit(self, attributes: Attributes) -> None:
        """All mutating plugins, in order."""

    async def validate(self, attributes: Attributes) -> None:
        """All validating plugins, in order."""
