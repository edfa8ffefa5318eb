"""One row of the catalog: a resource that the cluster serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apiserver.registry.strategy import Column, Strategy
from apiserver.request import RequestContext
from kubarium.apimachinery.field_path import FieldError
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource, split
from kubarium.apimachinery.object import Object

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Subresource:
    """`status`, `scale`, `binding` …: its own kind of body, its own verbs.

    Three sorts: a part of the object (`status`, `resize`: `prepare` and `validate_update` guard it), another kind that
    is a window on the object (`scale`: `view` shows it, `merge` writes it back), and an action (`binding`, `eviction`,
    `token`: POST goes to `handle`). What is none of these (`exec`, `log`, `proxy`) belongs to `endpoints/connect.py`.
    """

    name: str
    kind: GroupVersionKind
    verbs: tuple[str, ...] = ("get", "patch", "update")
    handle: Callable[..., Awaitable[Any]] | None = None
    prepare: Callable[[RequestContext, Object, Object], None] | None = None  # new, old
    validate_update: Callable[[Object, Object], Sequence[FieldError]] | None = None
    view: Callable[[Object], Object] | None = None  # what is shown instead of the object
    check: Callable[[Object], None] | None = None  # raises when a GET has nothing to show
    merge: Callable[[Object, Object], Object] | None = None  # (stored, window) -> new object
    columns: Sequence[Column] = ()  # of the window
    also_reads: tuple[str, ...] = ()  # older versions of the body, which look the same
    connects: bool = False  # handed to the kubelet or a pod as a stream


@dataclass(frozen=True)
class Resource:
    """Everything that discovery, routing, storage and printing need to know about a resource in one version."""

    api_version: str
    kind: str
    plural: str
    strategy: Strategy = field(default_factory=Strategy)
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""  # the kind in lower case unless given
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    storage_prefix: str = ""  # below /registry/, e.g. `services/specs`; the plural unless given
    storage_version: str = ""  # api_version in which objects are kept; its own unless given
    to_storage: Callable[[dict[str, Any]], dict[str, Any]] | None = None  # convert between versions
    from_storage: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    reread: Callable[[dict[str, Any]], dict[str, Any]] | None = None  # a kept object by the schema of today
    rehearse: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = (
        None  # what a dry run would have kept
    )
    answer: Callable[..., Awaitable[Any]] | None = None  # resources that are answered, never stored: reviews
    observed: bool = False  # looked at when somebody asks, never stored: ComponentStatus
    deprecation: str = ""  # every client is told so in a `Warning:`
    other_form: Resource | None = None  # the row that shows the same built-in objects in another version
    custom: Any = None  # for custom resources: what `extensions/` needs to know (schema, columns)

    @property
    def group(self) -> str:
        """The API group; empty for core."""
        return split(self.api_version)[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return split(self.api_version)[1]

    @property
    def gvk(self) -> GroupVersionKind:
        """Its kind."""
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def gvr(self) -> GroupVersionResource:
        """Its place."""
        return GroupVersionResource(self.group, self.version, self.plural)

    @property
    def prefix(self) -> str:
        """The etcd prefix of its objects, with a slash at the end."""
        return f"/registry/{self.storage_prefix or self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """The etcd key of one object."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"

    def list_prefix(self, namespace: str = "") -> str:
        """The etcd prefix of a list, in one namespace or in all."""
        return f"{self.prefix}{namespace}/" if self.namespaced and namespace else self.prefix


@dataclass
class Catalog:
    """All served resources; grows and shrinks as CustomResourceDefinitions come and go."""

    rows: dict[GroupVersionResource, Resource] = field(default_factory=dict)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    generation: int = 0  # counts changes, for whoever derives documents from the rows

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The row for a URL."""
        return self.rows.get(GroupVersionResource(group, version, plural))

    def serves(self, group: str, version: str) -> bool:
        """Does this server itself have the version, no custom resource and nobody else?"""
        return any(place[:2] == (group, version) and row.custom is None for place, row in self.rows.items())

    def owns(self, group: str) -> bool:
        """Does this server itself have the group, in whatever version?"""
        return any(place[0] == group and row.custom is None for place, row in self.rows.items())

    def find_kind(self, kind: GroupVersionKind) -> Resource | None:
        """The row for a kind."""
        return next((row for row in self.rows.values() if row.gvk == kind), None)

    def add(self, rows: Sequence[Resource]) -> None:
        """Serve more."""
        self.rows.update({row.gvr: row for row in rows})
        self._changed()

    def remove(self, gvrs: Sequence[GroupVersionResource]) -> None:
        """Serve less."""
        for gvr in gvrs:
            self.rows.pop(gvr, None)
        self._changed()

    def groups(self) -> dict[str, list[str]]:
        """Served versions by group."""
        found: dict[str, list[str]] = {}
        for row in self.rows.values():
            versions = found.setdefault(row.group, [])
            if row.version not in versions:
                versions.append(row.version)
        return found

    def _changed(self) -> None:
        self.generation += 1
        for listener in self.listeners:
            listener()
