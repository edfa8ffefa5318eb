"""OpenAPI v2 and v3, derived from the schema data, the catalog rows and the CRDs."""

from __future__ import annotations

from dataclasses import dataclass, field

from apiserver.registry.resource import Catalog
from kubarium.apimachinery import errors
from kubarium.apimachinery.schema.catalog import Catalog as Schemas


@dataclass(frozen=True)
class Document:
    """One answer."""

    media_type: str
    body: bytes
    etag: str
    headers: dict[str, str] = field(default_factory=dict)


class OpenAPI:
    """All OpenAPI documents of this moment."""

    def __init__(self, catalog: Catalog, schemas: Schemas) -> None:
        self._catalog = catalog
        self._schemas = schemas

    def paths(self) -> list[str]:
        """Every path that has a document."""
        return []

    def answer(self, path: str, hash: str, accept: str) -> Document:
        """The document for what follows `/openapi/`. Raises NotFound."""
        raise errors.NotFound.page()
