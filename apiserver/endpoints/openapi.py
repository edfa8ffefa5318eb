"""OpenAPI v2 and v3, derived from the schema data, the catalog rows and the CRDs.

/openapi/v3                  the list of documents, each with the hash of what it is made from
/openapi/v3/apis/apps/v1     one document, made when it is first asked for and kept compressed
/openapi/v2                  everything in one, for older clients; also as protobuf
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from isal import igzip

from apiserver.endpoints import openapi_merging, openapi_paths, openapi_protobuf, openapi_roots
from apiserver.endpoints.openapi_merging import ForeignSchemas
from apiserver.registry.resource import Catalog, Resource
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema.catalog import Catalog as Schemas

JSON = "application/json"
_V3_REFERENCE, _V2_REFERENCE = "#/components/schemas/", "#/definitions/"
_BEARER_TOKEN = {
    "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
}  # fmt: skip
_CUSTOM_INFO = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
JSON_OR_YAML = (JSON, "application/yaml")
_PROTOBUF = "application/com.github.proto-openapi.spec.v"


@dataclass(frozen=True)
class Document:
    """One answer."""

    media_type: str
    packed: bytes  # gzip
    etag: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The plain content."""
        return gzip.decompress(self.packed)


class OpenAPI:
    """All OpenAPI documents of this moment."""

    def __init__(self, catalog: Catalog, schemas: Schemas, version: str = "v1.36.0") -> None:
        self._catalog = catalog
        self._schemas = schemas
        self._version = version
        self._documents: dict[str, Document] = {}
        self._foreign: dict[str, ForeignSchemas] = {}  # by the name of the document

    def set_foreign(self, schemas: Iterable[ForeignSchemas]) -> None:
        """Take over what aggregated servers publish."""
        self._foreign = {one.name: one for one in schemas}

    def paths(self) -> list[str]:
        """Every path that has a document."""
        names = [*self._roots(), *self._versions(), *(name for name, one in self._foreign.items() if one.v3)]
        return ["/openapi/v2", "/openapi/v3", *(f"/openapi/v3/{name}" for name in names)]

    def answer(self, path: str, hash: str, accept: str) -> Document:
        """The document for what follows `/openapi/`. Raises NotFound, NotAcceptable."""
        protobuf = _wants_protobuf(accept, path == "v2")
        if path == "v3":
            return self._index()
        if path == "v2":
            fingerprint = self._fingerprint(self._catalog.rows.values(), self._foreign.values())
            if protobuf:
                return self._kept("v2 protobuf", fingerprint + "P", self._v2, openapi_protobuf.MEDIA_TYPE)
            return self._kept("v2", fingerprint, self._v2)
        name = path.removeprefix("v3/")
        rows, foreign = self._versions().get(name), self._foreign.get(name)
        if rows is not None:
            fingerprint = self._fingerprint(rows)
            document = self._kept(name, fingerprint, lambda: self._v3(rows))
        elif (root := self._roots().get(name)) is not None:
            fingerprint = self._fingerprint(())
            document = self._kept(name, fingerprint, lambda: self._built_in_v3({f"/{name}/": root}))
        elif foreign is not None and foreign.v3:
            fingerprint = foreign.v3_mark
            document = self._kept(name, fingerprint, lambda: orjson.Fragment(foreign.v3))
        else:
            raise errors.NotFound.page()
        if hash == fingerprint:  # the client names what it wants for ever
            forever = {"Cache-Control": "public, immutable", "Expires": "Fri, 31 Dec 2100 00:00:00 GMT"}
            return Document(document.media_type, document.packed, document.etag, forever)
        return document

    def _versions(self) -> dict[str, list[Resource]]:
        """Document names and the rows they describe."""
        found: dict[str, list[Resource]] = {}
        for row in self._catalog.rows.values():
            found.setdefault(openapi_paths.root_of(row.group, row.version)[1:], []).append(row)
        return found

    def _roots(self) -> dict[str, dict[str, Any]]:
        """Names and path items of the documents that are about no resource."""
        groups = {row.group for row in self._catalog.rows.values() if row.custom is None and row.group}
        return openapi_roots.items_of(sorted(groups))

    def _index(self) -> Document:
        mark = self._fingerprint(())
        paths = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={mark}"} for name in self._roots()}
        paths |= {
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={self._fingerprint(rows)}"}
            for name, rows in self._versions().items()
        }
        for name, foreign in self._foreign.items():
            if foreign.v3:
                paths.setdefault(name, {"serverRelativeURL": f"/openapi/v3/{name}?hash={foreign.v3_mark}"})
        return _document({"paths": paths})

    def _fingerprint(self, rows: Iterable[Resource], foreign: Iterable[ForeignSchemas] = ()) -> str:
        """A hash of what a document is made from, so that the index is cheap."""
        digest = hashlib.sha256(self._version.encode())
        for row in rows:
            subresources = ",".join(sorted(row.subresources))
            custom = row.custom.fingerprint if row.custom is not None else ""
            what = f"{row.gvk}|{row.plural}|{row.namespaced}|{row.verbs}|{subresources}|{custom}"
            digest.update(what.encode())
        for one in foreign:
            digest.update(f"{one.name}|{one.v2_mark}".encode())
        return digest.hexdigest().upper()

    def _kept(self, name: str, fingerprint: str, make: Any, media_type: str = JSON) -> Document:
        document = self._documents.get(name)
        etag = f'"{fingerprint}"'
        if document is None or document.etag != etag:
            document = self._documents[name] = _document(make(), etag, media_type)
        return document

    def _name_of(self, rows: Iterable[Resource]) -> openapi_paths.NameOf:
        custom: dict[GroupVersionKind, str] = {}
        for row in rows:
            if row.custom is not None:
                custom |= row.custom.definition_names
        return lambda kind: custom.get(kind) or self._schemas.definition_name(kind)

    def _v3(self, rows: list[Resource]) -> dict[str, Any]:
        group, version = rows[0].group, rows[0].version
        is_custom = all(row.custom is not None for row in rows)
        paths = {} if is_custom else openapi_paths.index_path(group, version)
        name_of = self._name_of(rows)
        own: dict[str, Any] = {}
        for row in rows:
            paths |= openapi_paths.paths_of(row, name_of)
            if row.custom is not None:
                own |= row.custom.definitions()
        if not is_custom:
            return self._built_in_v3(paths, own, group, version)
        return {
            "openapi": "3.0.0",
            "info": _CUSTOM_INFO,
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": self._closure(paths, own)},
        }

    def _built_in_v3(
        self, paths: dict[str, Any], own: dict[str, Any] | None = None, group: str = "", version: str = ""
    ) -> dict[str, Any]:
        schemas = self._closure(paths, own or {})
        for schema in schemas.values():
            _keep_own_kinds(schema, group, version)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": self._version},
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": schemas, "securitySchemes": {"BearerToken": _BEARER_TOKEN}},
        }

    def _closure(self, paths: Any, own: dict[str, Any]) -> dict[str, Any]:
        """Every schema that the paths need, and those that these need."""
        found: dict[str, Any] = {}
        pending = {*openapi_merging.references(paths), *own}
        while pending:
            name = pending.pop()
            document = own.get(name)
            if document is None:
                try:
                    document = self._schemas.document_v3(name)
                except KeyError:
                    document = {"type": "object"}
            found[name] = document
            pending |= set(openapi_merging.references(document)) - found.keys()
        return dict(sorted(found.items()))

    def _v2(self) -> dict[str, Any]:
        rows = list(self._catalog.rows.values())
        name_of = self._name_of(rows)
        paths: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, item in self._roots().items():
            types = item["get"]["responses"]["200"]["content"]
            paths[f"/{name}/"] = _item_v2(item, [] if "openid" in name else list(types))
        for row in rows:
            consumes = ["*/*"] if row.custom is None else list(JSON_OR_YAML)
            found = openapi_paths.paths_of(row, name_of)
            paths |= {path: _item_v2(item, consumes) for path, item in found.items()}
            if row.custom is None:
                index = openapi_paths.index_path(row.group, row.version)
                paths |= {path: _item_v2(item, list(openapi_paths.ANSWERS)) for path, item in index.items()}
            else:
                own |= row.custom.definitions(v2=True)
        definitions = {}
        for name, schema in self._closure(paths, own).items():
            if name in own:
                definitions[name] = schema
            else:
                definitions[name] = self._document_v2(name, schema)
        document: dict[str, Any] = {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": self._version},
            "paths": dict(sorted(paths.items())),
            "definitions": _renamed(definitions),
            "securityDefinitions": {"BearerToken": _BEARER_TOKEN},
            "security": [{"BearerToken": []}],
        }
        openapi_merging.merge(document, [one.v2 for one in self._foreign.values() if one.v2 is not None])
        return document

    def _document_v2(self, name: str, schema: Any) -> Any:
        try:
            return self._schemas.document_v2(name)
        except KeyError:
            return schema


def _keep_own_kinds(schema: dict[str, Any], group: str, version: str) -> None:
    """Options are of every group: a document names them as those of its own, and of the core."""
    kinds = schema.get("x-kubernetes-group-version-kind") or ()
    own = {("", "v1"), (group, version)}
    if any((kind["group"], kind["version"]) in own for kind in kinds):
        kept = [kind for kind in kinds if (kind["group"], kind["version"]) in own]
        schema["x-kubernetes-group-version-kind"] = kept


def _wants_protobuf(accept: str, offered: bool) -> bool:
    """Does the client take nothing but protobuf? Version 2 has that form, too; version 3 is JSON only."""
    clauses = [clause.strip() for clause in accept.split(",") if clause.strip()]
    if not clauses or not all(clause.startswith(_PROTOBUF) for clause in clauses):
        return False
    if not offered:
        raise errors.NotAcceptable(f"only the following media types are accepted: {JSON}")
    return True


def _document(content: Any, etag: str = "", media_type: str = JSON) -> Document:
    body = orjson.dumps(content) if media_type == JSON else openapi_protobuf.encode(content)
    etag = etag or '"' + hashlib.sha512(body).hexdigest().upper() + '"'
    return Document(media_type, igzip.compress(body, 1), etag)


def _renamed(value: Any) -> Any:
    """References of version 3 as version 2 writes them."""
    if isinstance(value, dict):
        return {
            key: item.replace(_V3_REFERENCE, _V2_REFERENCE)
            if key == "$ref" and isinstance(item, str)
            else _renamed(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return value


def _item_v2(item: dict[str, Any], consumes: list[str]) -> dict[str, Any]:
    """`consumes` is said of operations without a body."""
    found: dict[str, Any] = {}
    for method, operation in item.items():
        if method == "parameters":
            found[method] = [_parameter_v2(parameter) for parameter in operation]
        else:
            found[method] = _operation_v2(operation, consumes)
    return found


def _parameter_v2(parameter: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = parameter["schema"]
    return {key: value for key, value in parameter.items() if key != "schema"} | schema


def _operation_v2(operation: dict[str, Any], consumes: list[str]) -> dict[str, Any]:
    found = {
        key: value
        for key, value in operation.items()
        if key not in ("requestBody", "responses", "parameters")
    }
    parameters = [_parameter_v2(parameter) for parameter in operation.get("parameters", ())]
    if consumes:
        found["consumes"] = consumes
    if body := operation.get("requestBody"):
        content = next(iter(body["content"].values()))
        shown = {"name": "body", "in": "body", "schema": _renamed(content["schema"])}
        parameters.insert(0, shown | ({"required": True} if body.get("required") else {}))
        found["consumes"] = list(body["content"])
    if parameters:
        found["parameters"] = parameters
    found["schemes"] = ["https"]
    kinds = (kind for answer in operation["responses"].values() for kind in answer.get("content", ()))
    found["produces"] = list(dict.fromkeys(kinds))
    found["responses"] = {status: _answer_v2(answer) for status, answer in operation["responses"].items()}
    return found


def _answer_v2(answer: dict[str, Any]) -> dict[str, Any]:
    content = answer.get("content")
    if not content:
        return answer
    return {"description": answer["description"], "schema": _renamed(next(iter(content.values()))["schema"])}
