"""`po`, `pods`, `deploy/web`, `deployments.v1.apps` -> the kind that is meant, by discovery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kubarium.apimachinery import group_version
from kubarium.apimachinery.object import Object
from kubarium.client.discovery import ACCEPT
from kubarium.client.rest import Client


class UnknownResource(Exception):
    """The server has no such resource type."""

    def __init__(self, name: str) -> None:
        super().__init__(f'the server doesn\'t have a resource type "{name}"')


class NoMatch(Exception):
    """The server has no such kind."""


class WrongArguments(Exception):
    """The words do not name resources."""


@dataclass(frozen=True)
class Kind:
    """One resource in one version, as discovery describes it."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    subresources: frozenset[str]

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return group_version.join(self.group, self.version)

    def full_name(self, name: str) -> str:
        """`deployment.apps/web`, as kubectl names an object."""
        singular = self.singular or self.kind.lower()
        return f"{singular}.{self.group}/{name}" if self.group else f"{singular}/{name}"

    def is_called(self, name: str) -> bool:
        """Does this word mean the kind?"""
        return name in (self.plural, self.singular, self.kind.lower(), *self.short_names)


@dataclass(frozen=True)
class Target:
    """A kind, with a name or all of them."""

    kind: Kind
    name: str = ""


class Names:
    """What the server serves; read once, when it is first asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kinds: list[Kind] | None = None

    async def kinds(self) -> list[Kind]:
        """Every kind in every version, the preferred versions first, groups in the server's order."""
        if self._kinds is None:
            documents = await asyncio.gather(*(self._read(path) for path in ("/api", "/apis")))
            self._kinds = [kind for document in documents for kind in _kinds_of(document)]
        return self._kinds

    async def kind(self, word: str) -> Kind:
        """The kind that a word means. Raises UnknownResource."""
        name, _, rest = word.lower().partition(".")
        for kind in await self.kinds():
            if kind.is_called(name) and rest in ("", kind.group, f"{kind.version}.{kind.group}"):
                return kind
        raise UnknownResource(word)

    async def of_object(self, obj: Object, source: str = "") -> Kind:
        """The kind of an object from a file. Raises UnknownResource."""
        for kind in await self.kinds():
            if kind.kind == obj.get("kind") and kind.api_version == obj.get("apiVersion"):
                return kind
        wanted, version = obj.get("kind"), obj.get("apiVersion")
        name = (obj.get("metadata") or {}).get("name") or ""
        raise NoMatch(
            f'resource mapping not found for name: "{name}" namespace: "" from "{source or "STDIN"}": '
            f'no matches for kind "{wanted}" in version "{version}"\nensure CRDs are installed first'
        )

    async def targets(self, words: Sequence[str]) -> list[Target]:
        """`pods`, `pod web db`, `pod/web svc/db`, `deploy,svc` -> what is meant."""
        if not words:
            raise WrongArguments("Required resource not specified.")
        if any("/" in word for word in words):
            return [await self._slashed(word) for word in words]
        kinds = [kind for word in words[0].split(",") for kind in await self._one_or_category(word)]
        if len(words) == 1:
            return [Target(kind) for kind in kinds]
        return [Target(kind, name) for kind in kinds for name in words[1:]]

    async def _slashed(self, word: str) -> Target:
        resource, slash, name = word.partition("/")
        if not slash or not name:
            raise WrongArguments(
                "there is no need to specify a resource type as a separate argument when passing arguments in "
                "resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource "
                "resource/<resource_name>'"
            )
        return Target(await self.kind(resource), name)

    async def _one_or_category(self, word: str) -> list[Kind]:
        in_category = [
            kind for kind in await self.kinds() if word in kind.categories and "list" in kind.verbs
        ]
        return _unique(in_category) if in_category else [await self.kind(word)]

    async def _read(self, path: str) -> Object:
        document: Object = await self._client.request("GET", path, headers={"Accept": ACCEPT})
        return document


def _unique(kinds: Sequence[Kind]) -> list[Kind]:
    found: dict[tuple[str, str], Kind] = {}
    for kind in kinds:
        found.setdefault((kind.group, kind.plural), kind)
    return list(found.values())


def _kinds_of(document: Object) -> list[Kind]:
    return [
        _kind(group["metadata"].get("name", ""), version["version"], resource)
        for group in document.get("items") or []
        for version in group.get("versions") or []
        for resource in version.get("resources") or []
        if resource.get("responseKind")
    ]


def _kind(group: str, version: str, resource: Object) -> Kind:
    return Kind(
        group=group,
        version=version,
        plural=resource["resource"],
        singular=resource.get("singularResource", ""),
        kind=resource["responseKind"]["kind"],
        namespaced=resource.get("scope") == "Namespaced",
        verbs=frozenset(resource.get("verbs") or ()),
        short_names=tuple(resource.get("shortNames") or ()),
        categories=tuple(resource.get("categories") or ()),
        subresources=frozenset(sub["subresource"] for sub in resource.get("subresources") or ()),
    )
