"""The three ways to say only what changes. Each `apply` returns a new document; the given one stays as it was.

    json_patch.apply(document, operations: list) -> document
        RFC 6902; raises Invalid as upstream does when it cannot be applied
    merge_patch.apply(document, patch) -> document
        RFC 7386
    strategic_merge_patch.apply(document, patch, schema: Structural) -> document
        built-in kinds only; lists are merged by the schema's keys
    merge_patch.create(old, new) -> patch
        the merge patch that leads from old to new

A patch that cannot be read raises `errors.BadRequest`. Server-side apply is in `../apply`.
"""
