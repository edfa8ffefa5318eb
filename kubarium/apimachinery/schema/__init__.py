"""What an object of a kind may look like: the published schemas, as data and as compiled functions.

kubernetes-validate ──▶ catalog.py ──▶ Catalog ──▶ structural.py: Structural (one node of a schema, a value)
a CRD's openAPIV3Schema ────────────────────────▶        │
                                                         ├──▶ builtin.py     decode as the typed original does
                                                         ├──▶ structural.py  prune, default
                                                         ├──▶ validation.py  -> list[FieldError] (formats.py)
                                                         └──▶ ../patch, ../apply, ../cel

catalog.load(cache: Path | None = None, version: str = "1.36") -> Catalog
    compiles the schemas at first use into the cache file; later loads take a few milliseconds
Catalog.kinds() -> Iterable[GroupVersionKind]
Catalog.definition_name(gvk) -> str | None        "io.k8s.api.core.v1.Pod"
Catalog.definitions() -> Iterable[str]            all names
Catalog.document(name) -> dict                    the published OpenAPI v3 schema with descriptions (decoded at
                                                  each call); references are "#/components/schemas/<name>"
Catalog.schema(gvk) -> Structural | None          the compiled form, cached
Catalog.definition(name) -> Structural

structural.from_openapi(schema: dict) -> Structural              any OpenAPI v3 schema
structural.prune(obj, schema) -> list[str]                       drops unknown fields in place, returns their paths
structural.default(obj, schema) -> None                          fills in a CRD schema's defaults in place
builtin.normalize_builtin(obj, gvk, catalog) -> (obj, list[str])
    decodes as upstream's typed structs do: null is absent, unknown fields go (their paths are returned),
    quantities and times become canonical; BadRequest for wrong types
builtin.strict_error(gvk, problems) -> BadRequest
    of problems such as `unknown field "spec.a"`, `duplicate field "spec.b"`
validation.validate(obj, schema, path=ROOT, old=MISSING) -> list[FieldError]
    a custom resource against its schema; with `old`, what has not changed is let pass
rules.keyword_errors(document: dict, path) -> list[FieldError]         do keywords of a schema mean something?
"""
