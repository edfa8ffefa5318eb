"""What a plugin is told about a write, and the two hooks it may fill in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from apiserver.request import RequestContext, User
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource
from kubarium.apimachinery.object import Object

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
_OPTIONS = {CREATE: "CreateOptions", UPDATE: "UpdateOptions", DELETE: "DeleteOptions"}


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
    options: Object = field(default_factory=dict)  # CreateOptions, UpdateOptions, DeleteOptions
    settle: Callable[[Object], None] = lambda obj: None  # fill in defaults after each change of the object
    undo: list[Callable[[], Awaitable[None]]] = field(
        default_factory=list
    )  # run if the write fails after admission
    changed_by_webhook: bool = False  # then the built-in plugins look at the object once more
    memory: dict[str, Any] = field(default_factory=dict)  # what a plugin wants to know when it is asked again

    @property
    def user(self) -> User:
        """Who writes."""
        return self.context.user

    @property
    def dry_run(self) -> bool:
        """Will nothing be kept?"""
        return self.context.dry_run

    @property
    def told_options(self) -> Object | None:
        """The options as webhooks and expressions see them; there are none for CONNECT."""
        kind = _OPTIONS.get(self.operation)
        return {**self.options, "kind": kind, "apiVersion": "meta.k8s.io/v1"} if kind else None

    def is_for(self, group: str, *resources: str, subresource: str = "") -> bool:
        """Is it a write of one of these resources, whatever the version?"""
        same_place = self.resource.group == group and self.resource.resource in resources
        return same_place and self.subresource == subresource

    @property
    def new(self) -> Object:
        """The object of a CREATE or UPDATE."""
        assert self.obj is not None
        return self.obj

    def forbidden(self, why: str) -> errors.Forbidden:
        """A refusal: `pods "x" is forbidden: why`. An object without a name yet goes by what it will be named from."""
        metadata = (self.obj or self.old or {}).get("metadata") or {}
        name = self.name or metadata.get("name") or metadata.get("generateName") or ""
        return errors.Forbidden.of(self.resource.group, self.resource.resource, name, why)


class AdmissionPlugin:
    """Overrides what it needs. Refuses with `errors.Forbidden` or another `StatusError`."""

    name = ""
    operations: frozenset[str] = frozenset({CREATE, UPDATE})
    resources: frozenset[tuple[str, str]] | None = None
    """Group and plural of what the plugin looks at; None: at everything. Spares the others the call."""

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
