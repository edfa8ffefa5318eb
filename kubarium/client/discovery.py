"""What the API server serves, read from its aggregated discovery documents, or from the older ones of older servers.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from kubarium.apimachinery import errors, group_version
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


AGGREGATED = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Discovered:
    """One kind in the version that the server prefers."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return group_version.join(self.group, self.version)

    @property
    def group_resource(self) -> str:
        """`pods` or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Discovery:
    """Asks again each time, but reads the documents only when they have changed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._documents: dict[str, tuple[str, Object]] = {}

    async def kinds(self, failures: list[str] | None = None) -> list[Discovered]:
        """Every kind once. Groups whose server does not answer are named in `failures`."""
        found: list[Discovered] = []
        for path in ("/api", "/apis"):
            document = await self._read(path)
            for group in document.get("items") or []:
                found += _kinds_of(group, failures if failures is not None else [])
        return found

    async def namespaced(self, failures: list[str] | None = None) -> list[Discovered]:
        """Every kind that lives in namespaces."""
        return [kind for kind in await self.kinds(failures) if kind.namespaced]

    async def _read(self, path: str) -> Object:
        tag, document = self._documents.get(path, ("", {}))
        headers = {"Accept": ACCEPT, **({"If-None-Match": tag} if tag else {})}
        answer = await self._client.fetch("GET", path, headers=headers)
        if answer.status == 304:
            return document
        fresh: Object = orjson.loads(answer.content)
        if fresh.get("kind") != AGGREGATED:
            return {"items": [await self._older(path, group) for group in _older_groups(fresh)]}
        self._documents[path] = (answer.headers.get("etag") or "", fresh)
        return fresh

    async def _older(self, path: str, group: OlderGroup) -> Object:
        """One group in the new form, put together from the documents of its versions, as servers before 1.27 do it."""
        versions: list[Object] = []
        for version in group.versions:
            try:
                answer = await self._client.fetch("GET", "/".join(filter(None, (path, group.name, version))))
            except errors.StatusError:
                versions.append({"version": version, "freshness": "Stale"})
                continue
            versions.append(_version_of(version, orjson.loads(answer.content)))
        return {"metadata": {"name": group.name}, "versions": versions}


@dataclass(frozen=True, slots=True)
class OlderGroup:
    """A group as an older server names it: its versions, the preferred one first."""

    name: str
    versions: tuple[str, ...]


def _older_groups(document: Object) -> list[OlderGroup]:
    """Of an `APIVersions` (the core group) or an `APIGroupList`."""
    if document.get("kind") == "APIVersions":
        return [OlderGroup("", tuple(document.get("versions") or ()))]
    found = []
    for group in document.get("groups") or []:
        served = [one["version"] for one in group.get("versions") or []]
        preferred = (group.get("preferredVersion") or {}).get("version")
        served.sort(key=lambda version: version != preferred)
        found.append(OlderGroup(group["name"], tuple(served)))
    return found


def _version_of(version: str, document: Object) -> Object:
    """An `APIResourceList` in the new form; subresources are not kinds."""
    resources = [
        {
            "resource": one["name"],
            "responseKind": {"kind": one["kind"]},
            "scope": "Namespaced" if one.get("namespaced") else "Cluster",
            "verbs": one.get("verbs") or [],
        }
        for one in document.get("resources") or []
        if "/" not in one["name"]
    ]
    return {"version": version, "freshness": "Current", "resources": resources}


def _kinds_of(group: Object, failures: list[str]) -> Iterable[Discovered]:
    name = (group.get("metadata") or {}).get("name") or ""
    seen: dict[str, Discovered] = {}
    for version in group.get("versions") or []:
        if version.get("freshness") == "Stale":
            failures.append(f"{group_version.join(name, version['version'])}: stale GroupVersion discovery")
            continue
        for resource in version.get("resources") or []:
            plural = resource["resource"]
            if plural in seen or not resource.get("responseKind"):
                continue
            seen[plural] = Discovered(
                name,
                version["version"],
                plural,
                resource["responseKind"]["kind"],
                resource.get("scope") == "Namespaced",
                frozenset(resource.get("verbs") or ()),
            )
    return seen.values()
