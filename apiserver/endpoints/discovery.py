"""What is served, in words for machines: `/api`, `/apis`, their groups and versions; aggregated and in the older form.

Everything is derived from the catalog's rows and made anew only when the catalog changes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.registry.resource import Catalog, Resource, Subresource
from kubarium.apimachinery import codec, errors
from kubarium.apimachinery.group_version import GroupVersionKind, join, version_priority
from kubarium.apimachinery.object import Object

JSON = "application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
AGGREGATED_VERSIONS = ("v2", "v2beta1")

GROUP_ORDER = (
    "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
    "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
    "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io",
)  # fmt: skip
"""The order in which upstream's APIService priorities put the built-in groups; all others follow by name."""

_HASHED_AS = {
    "events.k8s.io/v1/Event": "/v1/Event",
    "autoscaling/v1/HorizontalPodAutoscaler": "autoscaling/v2/HorizontalPodAutoscaler",
    "apiextensions.k8s.io/v1/CustomResourceDefinition": "apiextensions.k8s.io/v1beta1/CustomResourceDefinition",
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy":
        "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding":
        "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicyBinding",
}  # fmt: skip
"""Kinds whose published hash is that of another version."""


@dataclass(frozen=True, slots=True)
class Document:
    """One answer: a media type and a body; the aggregated ones have an ETag."""

    media_type: str
    body: bytes
    etag: str = ""


@dataclass(frozen=True)
class RemoteGroup:
    """A version of a group that an aggregated API server serves, as its own discovery shows it."""

    group: str
    version: str
    resources: Sequence[Object]  # of an APIResourceList
    stale: bool = False
    aggregated: Sequence[Object] | None = None  # of an APIGroupDiscoveryList, if the server has one


class Discovery:
    """All discovery documents of this moment."""

    def __init__(self, catalog: Catalog, server_address: str = "") -> None:
        self._catalog = catalog
        self._server_address = server_address
        self._remote: dict[tuple[str, str], RemoteGroup] = {}
        self._silent: frozenset[tuple[str, str]] = frozenset()
        self._documents: dict[tuple[str, str], Document] = {}
        self._generation = -1

    def set_remote(self, groups: Iterable[RemoteGroup], silent: Iterable[tuple[str, str]] = ()) -> None:
        """Take over what aggregated servers say, and which of them do not answer."""
        self._silent = frozenset(silent)
        self._remote = {(group.group, group.version): group for group in groups}
        self._generation = -1

    def answer(self, path: str, accept: str) -> Document:
        """The document for a path, in the form that the client accepts. Raises NotFound, NotAcceptable."""
        if self._generation != self._catalog.generation:
            self._documents = {}
            self._generation = self._catalog.generation
        parts = path.strip("/").split("/")
        form = _accepted(accept, aggregated=parts in (["api"], ["apis"]))
        key = ("/".join(parts), form)
        document = self._documents.get(key)
        if document is None:
            document = self._documents[key] = self._make(parts, form)
        return document

    def paths(self) -> list[str]:
        """Every path that has a document."""
        found = []
        for group, versions in self._groups().items():
            root = f"/apis/{group}" if group else "/api"
            found += [root, *(f"{root}/{version}" for version in versions)]
        return found

    def _make(self, parts: list[str], form: str) -> Document:
        if form != JSON:
            return self._aggregated(parts[0], form)
        match parts:
            case ["api"]:
                found = self._core_versions()
            case ["apis"]:
                groups = [self._group(name) for name in self._groups() if name]
                found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["apis", group] if group in self._groups():
                found = {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
            case ["api", version] if version in self._groups().get("", ()):
                found = self._resources("", version)
            case ["apis", group, version] if self._is_silent(group, version):
                raise errors.NoServer
            case ["apis", group, version] if version in self._groups().get(group, ()):
                found = self._resources(group, version)
            case ["api", *_]:
                raise errors.NotFound.page()
            case ["apis", group, *_] if self._catalog.owns(group):
                raise errors.NotFound.page()
            case _:
                raise errors.NoSuchPath
        return Document(JSON, orjson.dumps(found))

    def _is_silent(self, group: str, version: str) -> bool:
        """Is it served elsewhere, by somebody who does not answer?"""
        return (group, version) in self._silent

    def _groups(self) -> dict[str, list[str]]:
        """Served versions by group, both in the order of preference."""
        found = self._catalog.groups()
        for group, version in self._remote:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        known = {name: index for index, name in enumerate(GROUP_ORDER)}
        names = sorted(found, key=lambda name: (known.get(name, len(known)), name))
        return {name: sorted(found[name], key=version_priority) for name in names}

    def _core_versions(self) -> Object:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}

    def _group(self, name: str) -> Object:
        versions = [
            {"groupVersion": join(name, version), "version": version} for version in self._groups()[name]
        ]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _rows(self, group: str, version: str) -> list[Resource]:
        rows = (row for row in self._catalog.rows.values() if row.group == group and row.version == version)
        return sorted(rows, key=lambda row: row.plural)

    def _resources(self, group: str, version: str) -> Object:
        remote = self._remote.get((group, version))
        if remote is not None:
            resources: Sequence[Object] = remote.resources
        else:
            resources = [entry for row in self._rows(group, version) for entry in _legacy(row)]
        found: Object = {
            "kind": "APIResourceList",
            "groupVersion": join(group, version),
            "resources": resources,
        }
        return found | {"apiVersion": "v1"} if group else found  # the oldest document has none

    def _aggregated(self, root: str, version: str) -> Document:
        items = [
            self._aggregated_group(name, versions)
            for name, versions in self._groups().items()
            if (name == "") == (root == "api")
        ]
        found = {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }
        content = orjson.dumps(found)
        etag = '"' + hashlib.sha512(content).hexdigest().upper() + '"'
        return Document(AGGREGATED.format(version), content, etag)

    def _aggregated_group(self, name: str, versions: list[str]) -> Object:
        shown = []
        for version in versions:
            remote = self._remote.get((name, version))
            if remote is not None:
                known = remote.aggregated
                resources = list(known) if known is not None else _from_legacy(remote.resources)
            else:
                resources = [_aggregated_resource(row) for row in self._rows(name, version)]
            freshness = "Stale" if remote is not None and remote.stale else "Current"
            shown.append({"version": version, "resources": resources, "freshness": freshness})
        return {"metadata": {"name": name} if name else {}, "versions": shown}


def _accepted(accept: str, aggregated: bool) -> str:
    """`v2`, `v2beta1`, or plain JSON: the first acceptable form that we have."""
    if not accept:
        return JSON
    for entry in accept.split(","):
        media_type, _, parameters = entry.strip().partition(";")
        wanted = dict(part.strip().partition("=")[::2] for part in parameters.split(";") if part)
        if media_type in (JSON, "application/*", "*/*"):
            if wanted.get("as"):
                asked = (
                    wanted.get("as") == "APIGroupDiscoveryList" and wanted.get("g") == "apidiscovery.k8s.io"
                )
                if aggregated and asked and wanted.get("v") in AGGREGATED_VERSIONS:
                    return wanted["v"]
                continue
            return JSON
    raise errors.NotAcceptable(
        f"only the following media types are accepted: {codec.JSON}, {codec.YAML}, {codec.PROTOBUF}"
    )


def storage_version_hash(row: Resource) -> str:
    """Upstream's hash of the version in which a kind is kept."""
    kept = row.custom.storage_version if row.custom is not None else row.api_version
    own = f"{kept if row.group else '/' + kept}/{row.kind}"
    text = _HASHED_AS.get(own, own)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _names(row: Resource) -> Object:
    found: Object = {}
    if row.short_names:
        found["shortNames"] = list(row.short_names)
    if row.categories:
        found["categories"] = list(row.categories)
    return found


def singular_of(row: Resource) -> str:
    """The singular name: the kind in lower case unless the row says otherwise."""
    return row.singular or row.kind.lower()


def _is_kept(row: Resource) -> bool:
    return row.answer is None and "watch" in row.verbs


def _subresources(row: Resource) -> list[Subresource]:
    if row.custom is not None:
        return list(row.subresources.values())
    return [row.subresources[name] for name in sorted(row.subresources)]


def _verbs(row: Resource) -> list[str]:
    """Custom resources have theirs in an order of their own, and at the end changes are no longer told."""
    if row.custom is None:
        return sorted(row.verbs)
    return [verb for verb in row.verbs if not row.custom.ends or verb not in _CHANGES]


_CHANGES = frozenset(("create", "patch", "update"))


def _legacy(row: Resource) -> list[Object]:
    """The entries of an APIResourceList for a row and its subresources."""
    main: Object = {
        "name": row.plural,
        "singularName": singular_of(row),
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": _verbs(row),
        **_names(row),
    }
    if _is_kept(row) and (row.custom is None or row.custom.serves_stored):
        main["storageVersionHash"] = storage_version_hash(row)
    found = [main]
    for sub in _subresources(row):
        entry: Object = {
            "name": f"{row.plural}/{sub.name}",
            "singularName": "",
            "namespaced": row.namespaced,
            **_foreign(row, sub.kind),
            "kind": sub.kind.kind,
            "verbs": sorted(sub.verbs),
        }
        found.append(entry)
    return found


def _foreign(row: Resource, kind: GroupVersionKind) -> Object:
    """Group and version of a subresource's kind, if they are not the row's own."""
    if (kind.group, kind.version) == (row.group, row.version):
        return {}
    return {"group": kind.group, "version": kind.version} if kind.group else {"version": kind.version}


def _response_kind(row: Resource, kind: GroupVersionKind) -> Object:
    """What a resource answers with: only of custom resources it is said in full even where it is the obvious."""
    if row.custom is not None:
        return {"group": kind.group, "version": kind.version, "kind": kind.kind}
    foreign = _foreign(row, kind)
    return {"group": foreign.get("group", ""), "version": foreign.get("version", ""), "kind": kind.kind}


def _aggregated_resource(row: Resource) -> Object:
    shown: Object = {
        "resource": row.plural,
        "responseKind": _response_kind(row, row.gvk),
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": singular_of(row),
        "verbs": _verbs(row),
        **_names(row),
    }
    if row.subresources:
        shown["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _response_kind(row, sub.kind),
                "verbs": sorted(sub.verbs),
            }
            for sub in _subresources(row)
        ]
    return shown


def _from_legacy(resources: Sequence[Object]) -> list[Object]:
    """The aggregated form of what an older or foreign server publishes."""
    found: dict[str, Object] = {}
    for entry in resources:
        name, _, sub = entry["name"].partition("/")
        kind = {"group": entry.get("group", ""), "version": entry.get("version", ""), "kind": entry["kind"]}
        if not sub:
            shown: dict[str, Any] = {
                "resource": name,
                "responseKind": kind,
                "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
                "singularResource": entry.get("singularName", ""),
                "verbs": entry.get("verbs") or [],
            }
            shown |= {key: entry[key] for key in ("shortNames", "categories") if entry.get(key)}
            found[name] = shown
        elif name in found:
            part = {"subresource": sub, "responseKind": kind, "verbs": entry.get("verbs") or []}
            found[name].setdefault("subresources", []).append(part)
    return list(found.values())
