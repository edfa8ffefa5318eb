"""Who owns which field, and server-side apply.

Sets of fields are kept in the wire form of `fieldsV1` itself (nested dicts whose keys are `f:name`, `k:{...}`,
`v:...`), so that no write of the API server has to parse or print them.

    managed_fields.Writer(manager: str, api_version: str, time: str, subresource: str = "")

    managed_fields.update(live: Object | None, new: Object, writer, schema: Structural | None, reset=()) -> None
        after every create, PUT or patch: writes `new["metadata"]["managedFields"]` in place. `live` is None at
        creation. Give the paths that this endpoint does not own in `reset`, for instance (("status",),).
    managed_fields.apply(live: Object | None, config: Object, writer, schema, force=False, reset=()) -> Object
        server-side apply: the merged object with its managed fields, or `errors.Conflict` as upstream words it.
        `live` is None when the object does not exist yet. When nothing changes, the result equals `live`.
    managed_fields.validate(entries: list) -> list[FieldError]           of managed fields that a client sent

    field_set: pure functions on fieldsV1 dicts: union, difference, intersection, of_object, paths, ...
    merge: compare(old, new, schema) -> Comparison(added, modified, removed); merge(live, config, schema) -> object
"""
