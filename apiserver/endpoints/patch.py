"""PATCH: four formats, one retry loop; apply is the fourth.

application/json-patch+json               RFC 6902
application/merge-patch+json              RFC 7386
application/strategic-merge-patch+json    lists merged by key; built-in kinds only
application/apply-patch+yaml              server-side apply: creates what is missing
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from apiserver.endpoints import body, patch_body
from apiserver.endpoints.answer import send_stored
from apiserver.endpoints.patch_body import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.update import check_name
from apiserver.endpoints.writing import Writing, check_place, subresource_of
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.store import Change
from apiserver.request import RequestContext, is_true
from kubarium.apimachinery import codec, errors
from kubarium.apimachinery.apply import managed_fields
from kubarium.apimachinery.field_path import FieldPath, forbidden, invalid, required
from kubarium.apimachinery.go_text import printed
from kubarium.apimachinery.group_version import GroupVersionKind, split
from kubarium.apimachinery.object import Object, copy, metadata_of, name_of
from kubarium.apimachinery.patch import json_patch, merge_patch, strategic_merge_patch
from kubarium.apimachinery.schema import builtin, zeros
from kubarium.apimachinery.schema.structural import ANY, Structural

MEDIA_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
_NO_KIND = "couldn't get version/kind; "


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a PATCH of an object, or of one of its subresources."""
    body.read_options(context, "PatchOptions")
    media_type = body.content_type(scope)
    accepted = [name for name in MEDIA_TYPES if row.custom is None or name != STRATEGIC_MERGE_PATCH]
    if media_type not in accepted:
        if (
            row.custom is None
        ):  # upstream's router does not let it through to the handler, which would say more
            raise errors.UnsupportedMediaType("415: Unsupported Media Type", {})
        text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        raise errors.UnsupportedMediaType(text)
    subresource = subresource_of(row, context)
    content = await body.read(receive)
    writing = Writing(endpoints, row, context)
    patching = _Patching(endpoints, row, context, subresource, writing)
    if media_type == APPLY_PATCH:
        change = patching.applying(content, is_true(context.query, "force"))
    elif "force" in context.query:
        wrong = forbidden(FieldPath("force"), "may not be specified for non-apply patch")
        raise errors.Invalid.of("meta.k8s.io", "PatchOptions", "", [wrong])
    else:
        change = patching.changing(media_type, content)
    may_create = media_type == APPLY_PATCH and subresource is None
    try:
        written = await endpoints.registry.update(
            row,
            context,
            context.info.namespace if row.namespaced else "",
            context.info.name,
            change,
            writing.judge(),
            subresource=subresource,
            create=writing.judge() if may_create else None,
            unconditional=True,
        )
    except BaseException:
        await writing.undo()
        raise
    status = 201 if written.created else 200
    await send_stored(endpoints, row, context, scope, send, written.stored, status, subresource)


class _Patching:
    """Makes the function that changes the current object; the registry calls it until nobody was faster."""

    def __init__(
        self,
        endpoints: Endpoints,
        row: Resource,
        context: RequestContext,
        subresource: Subresource | None,
        writing: Writing,
    ) -> None:
        self._endpoints = endpoints
        self._row = row
        self._context = context
        self._subresource = subresource
        self._writing = writing
        self._window = subresource is not None and subresource.merge is not None
        self._kind = subresource.kind if subresource is not None and self._window else row.gvk
        own = row.custom is not None and not self._window
        self._declared: Structural | None = row.custom.schema if own else endpoints.schemas.schema(self._kind)

    def changing(self, media_type: str, content: bytes) -> Change:
        """A JSON, merge or strategic merge patch."""
        patch, problems = patch_body.read(media_type, content)
        apply = self._applier(media_type, patch)

        async def change(current: Object | None) -> Object:
            assert current is not None
            shown = self._shown(current)
            patched = apply(shown)
            if patched == shown:  # nothing to decode
                return await self._writing.admit(copy(current), current)
            if isinstance(patched, dict):
                check_name(self._context, patched)
                check_place(self._row, self._context, patched)
            try:
                new = self._typed(patched, problems)
            except errors.BadRequest as error:
                strategic = media_type == STRATEGIC_MERGE_PATCH
                value = printed(patch) if strategic else orjson.dumps(apply(self._shown(current))).decode()
                raise _undecodable(value, error) from None
            return await self._completed(current, new)

        return change

    def applying(self, content: bytes, force: bool) -> Change:
        """Server-side apply."""
        if not self._context.field_manager:
            wrong = required(FieldPath("fieldManager"), "is required for apply patch")
            raise errors.Invalid.of("meta.k8s.io", "PatchOptions", "", [wrong])
        config = self._config(content)

        async def change(current: Object | None) -> Object:
            sent = copy(config)
            if current is None:
                check_name(self._context, sent)
            if current is None and metadata_of(sent).get("uid"):
                uid = metadata_of(sent)["uid"]
                text = (
                    f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )
                raise errors.Conflict.of(self._row.group, self._row.plural, self._context.info.name, text)
            if current is not None and self._window:
                sent = self._behind_window(current, sent)
            name = self._subresource.name if self._subresource is not None else ""
            merged = await self._writing.applied(current, sent, name, force)
            if current is not None and merged == current:
                return await self._writing.admit(copy(current), current)
            for key in ("resourceVersion", "uid"):  # what the client demands of the current state
                if key in metadata_of(sent):
                    metadata_of(merged)[key] = metadata_of(sent)[key]
            if self._row.custom is None:
                zeros.settle(merged, body.type_of(merged), self._endpoints.schemas)
            self._row.strategy.defaults(merged)
            return await self._writing.admit(merged, current)

        return change

    def _applier(self, media_type: str, patch: Any) -> Callable[[Object], Any]:
        if media_type == JSON_PATCH:
            return lambda shown: json_patch.apply(shown, patch)
        if media_type == MERGE_PATCH:
            return lambda shown: merge_patch.apply(shown, patch)
        schema: Structural = self._endpoints.schemas.schema(self._kind) or ANY
        # It is merged into fields of a type that is known: what it says of its kind is not heard.
        type_meta = {"kind": self._kind.kind, "apiVersion": self._kind.api_version}
        return lambda shown: strategic_merge_patch.apply(shown, patch, schema) | type_meta

    def _shown(self, current: Object) -> Object:
        """The object as the client sees it: in the row's version, through the subresource's window."""
        shown = self._row.from_storage(current) if self._row.from_storage is not None else current
        if self._window and self._subresource is not None and self._subresource.view is not None:
            return self._subresource.view(shown)
        return shown

    def _typed(self, patched: Any, problems: list[str]) -> Object:
        """The patched object decoded."""
        if not isinstance(patched, dict):
            raise errors.BadRequest("the patched object is not an object")
        if not patched.get("kind") or not patched.get("apiVersion"):
            missing = "Kind" if not patched.get("kind") else "apiVersion"
            raise errors.BadRequest(f"Object '{missing}' is missing in '{orjson.dumps(patched).decode()}'")
        if self._row.custom is not None and not self._window:
            self._check_custom_type(patched)
        body.check_type(patched, self._kind)
        return body.normalized(self._endpoints, self._row, self._context, patched, self._kind, problems)

    def _check_custom_type(self, patched: Object) -> None:
        """A custom resource may not become another kind; that is told of the object, not of the patch."""
        for name, wanted in (("kind", self._kind.kind), ("apiVersion", self._kind.api_version)):
            if patched[name] != wanted:
                group = split(patched["apiVersion"])[0]
                wrong = invalid(FieldPath(name), patched[name], f"must be {wanted}")
                raise errors.Invalid.of(group, patched["kind"], self._context.info.name, [wrong])

    async def _completed(self, current: Object, new: Object) -> Object:
        """The decoded object defaulted, with its managed fields, changed by admission."""
        if self._window:
            assert self._subresource is not None and self._subresource.merge is not None
            new = self._subresource.merge(current, new)
        elif self._row.to_storage is not None:
            new = self._row.to_storage(new)
        self._row.strategy.defaults(new)
        await self._writing.note_fields(
            current, new, self._subresource.name if self._subresource is not None else ""
        )
        return await self._writing.admit(new, current)

    def _config(self, content: bytes) -> Object:
        """The applied configuration, decoded but not defaulted: what is not in it is not owned.

        Unknown fields are refused whatever the client says about field validation: nobody could own them.
        """
        try:
            config, problems = codec.decode_yaml_strict(content)
        except errors.BadRequest as error:
            problem = error.message.partition(_NO_KIND)[2].rpartition(" (")[0] or error.message
            raise errors.BadRequest(f"error decoding YAML: {problem}") from None
        kind = GroupVersionKind(*split(config.get("apiVersion") or ""), config.get("kind") or "")
        if self._row.custom is not None and not self._window and kind != self._kind:
            raise errors.BadRequest(f"invalid object type: {kind.group}/{kind.version}, Kind={kind.kind}")
        body.check_type(config, self._kind)
        managed_fields.check_config(config, self._declared or ANY)
        if self._row.custom is not None and not self._window:
            builtin.normalize_metadata(config, self._kind, self._endpoints.schemas)
        else:
            config = body.normalized(
                self._endpoints, self._row, self._context, config, self._kind, whole=False
            )
        self._report_repeated(problems)
        if name_of(config):
            check_name(self._context, config)
        check_place(self._row, self._context, config)
        return config

    def _report_repeated(self, problems: list[str]) -> None:
        if problems and self._context.field_validation == body.STRICT:
            text = "error converting YAML to JSON: yaml: unmarshal errors:\n  " + "\n  ".join(problems)
            raise errors.BadRequest(f"error strict decoding YAML: {text}")
        body.report(self._context, self._kind, problems)

    def _behind_window(self, current: Object, sent: Object) -> Object:
        """An applied Scale as a configuration of the object, with the one field that it shows."""
        assert self._subresource is not None and self._subresource.merge is not None
        metadata = {key: value for key, value in metadata_of(current).items() if key in ("name", "namespace")}
        bare = {"apiVersion": current["apiVersion"], "kind": current["kind"], "metadata": metadata}
        return self._subresource.merge(bare, sent)


def _undecodable(value: str, error: errors.BadRequest) -> errors.Invalid:
    """What upstream says of a patch, or of what became of the object by it, that its types cannot hold."""
    _, found, why = error.message.partition(" cannot be handled as a ")
    problem = why.partition(": ")[2] if found else error.message
    wrong = invalid(FieldPath("patch"), value, problem)
    cause = {"reason": wrong.type, "message": wrong.body, "field": "patch"}
    return errors.Invalid(f' "" is invalid: {wrong}', {"causes": [cause]})
