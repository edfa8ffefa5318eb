"""What a client sends: read, decoded, and judged as upstream's typed decoding judges it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.endpoints.server import Endpoints, Receive, Scope
from apiserver.registry.resource import Resource
from apiserver.request import RequestContext, first
from kubarium.apimachinery import codec, errors
from kubarium.apimachinery.apply import sent_entries
from kubarium.apimachinery.field_path import FieldError, FieldPath, not_supported
from kubarium.apimachinery.group_version import GroupVersionKind, split
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf import decoding
from kubarium.apimachinery.schema import builtin, zeros

LIMIT = 3 * 1024 * 1024  # bytes of one request body
MEDIA_TYPES = (codec.JSON, codec.YAML, codec.PROTOBUF)
STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"


async def read(receive: Receive, limit: float = LIMIT) -> bytes:
    """The whole body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        _check_size(len(body), limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.BadRequest("unexpected EOF")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        _check_size(size, limit)
    return b"".join(parts)


def _check_size(size: int, limit: float) -> None:
    if size > limit:
        raise errors.RequestEntityTooLarge(f"Request entity too large: limit is {limit}")


def content_type(scope: Scope) -> str:
    """The media type of the body without parameters; empty when nothing is said."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            text: str = value.decode("latin-1")
            return text.partition(";")[0].strip().lower()
    return ""


def decode(
    body: bytes, media_type: str, kind: str = "object", api_version: str = ""
) -> tuple[Object, list[str]]:
    """A body in any of the forms that the server reads, and its duplicate fields."""
    if media_type in ("", codec.JSON):
        return codec.decode_json_strict(body, kind)
    if media_type == codec.YAML:
        return codec.decode_yaml_strict(body, kind)
    if media_type == codec.PROTOBUF:
        return decoding.decode(body, api_version, kind), []
    accepted = ", ".join(MEDIA_TYPES)
    raise errors.UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


def read_options(context: RequestContext, kind: str) -> None:
    """Take `dryRun`, `fieldManager` and `fieldValidation` from the query into the context.

    `kind` is what upstream reads them into, such as PatchOptions: errors name it.
    """
    query = context.query
    if not query:
        return
    if dry_run := query.get("dryRun"):
        set_dry_run(context, dry_run, kind)
    if manager := first(query, "fieldManager"):
        if found := sent_entries.name_errors(manager, FieldPath("fieldManager")):
            raise errors.Invalid.of("meta.k8s.io", kind, "", found)
        context.field_manager = manager
    if mode := first(query, "fieldValidation"):
        if mode not in _MODES:
            raise _invalid_option(kind, not_supported(FieldPath("fieldValidation"), mode, ("", *_MODES)))
        context.field_validation = mode


_MODES = (IGNORE, STRICT, WARN)


def set_dry_run(context: RequestContext, values: Sequence[str], kind: str) -> None:
    """`All` is the only dry run there is."""
    if any(value != "All" for value in values):
        raise _invalid_option(kind, not_supported(FieldPath("dryRun"), list(values), ("All",)))
    context.dry_run = True


def _invalid_option(kind: str, error: FieldError) -> errors.Invalid:
    return errors.Invalid.of("meta.k8s.io", kind, "", [error])


def manager_of(context: RequestContext) -> str:
    """Who writes, for managed fields: what the client says, or its user agent up to the first slash."""
    if context.field_manager:
        return context.field_manager
    return context.user_agent.partition("/")[0][:128] or "unknown"


def type_of(obj: Object) -> GroupVersionKind:
    """What an object says that it is."""
    return GroupVersionKind(*split(obj.get("apiVersion") or ""), obj.get("kind") or "")


def check_type(obj: Object, wanted: GroupVersionKind) -> None:
    """The body must be of the kind that the URL names; a body that does not say is taken for it."""
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if kind == wanted.kind and version == wanted.api_version:
        return
    kind = obj["kind"] = kind or wanted.kind
    version = obj["apiVersion"] = version or wanted.api_version
    if (kind, version) == (wanted.kind, wanted.api_version):
        return
    if version != wanted.api_version:
        text = (
            f"the API version in the data ({version}) does not match the expected API version "
            f"({wanted.api_version})"
        )
        raise errors.BadRequest(text)
    raise errors.BadRequest(
        f'{kind} in version "{wanted.version}" cannot be handled as a {wanted.kind}: '
        f"converting ({wanted.group}/{wanted.version}.{kind}) to ({wanted.group}.{wanted.kind}): unknown conversion"
    )


def normalized(
    endpoints: Endpoints,
    row: Resource,
    context: RequestContext,
    obj: Object,
    gvk: GroupVersionKind,
    problems: list[str] | None = None,
    *,
    whole: bool = True,
) -> Object:
    """The object as the typed original would have decoded it; unknown fields are refused, reported or ignored.

    Zeros that say nothing are dropped from a `whole` object, not from one that is applied: there they are a wish.
    """
    found = list(problems or ())
    if row.custom is not None and gvk == row.gvk:
        found += row.custom.normalize(obj)
    else:
        obj, unknown = builtin.normalize_builtin(obj, gvk, endpoints.schemas)
        if whole:
            zeros.settle(obj, gvk, endpoints.schemas)
        # Upstream's decoder tells of unknown and repeated keys as they come, and most unknown ones come early;
        # its YAML reader notices repeated keys before anything is decoded.
        early = [problem for problem in found if not problem.startswith("duplicate field")]
        late = [problem for problem in found if problem.startswith("duplicate field")]
        found = [*early, *(builtin.unknown_field(path) for path in unknown), *late]
    report(context, gvk, found)
    return obj


def report(context: RequestContext, gvk: GroupVersionKind, problems: Sequence[str]) -> None:
    """Refuse, mention or ignore unknown and duplicate fields, as the client wants."""
    if problems and context.field_validation == STRICT:
        raise builtin.strict_error(gvk, problems)
    if problems and context.field_validation == WARN:
        for problem in problems:
            context.warn(problem)


async def read_object(
    endpoints: Endpoints,
    row: Resource,
    context: RequestContext,
    scope: Scope,
    receive: Receive,
    gvk: GroupVersionKind | None = None,
    also_reads: Sequence[str] = (),
) -> Object:
    """The body as an object of the row's kind (or of another one, for subresources)."""
    wanted = gvk or row.gvk
    content = await read(receive)
    obj, problems = decode(content, content_type(scope), wanted.kind, wanted.api_version)
    if row.custom is not None and gvk is None:
        _check_says_what_it_is(obj, wanted, content)
    if obj.get("apiVersion") in also_reads:
        obj["apiVersion"] = wanted.api_version
    check_type(obj, wanted)
    obj = normalized(endpoints, row, context, obj, wanted, problems)
    if context.on_object is not None:
        context.on_object(obj)
    return obj


def _check_says_what_it_is(obj: Object, wanted: GroupVersionKind, content: bytes) -> None:
    """Nobody knows a custom resource by its fields: unlike a built-in kind it must name its own."""
    missing = next((name for name in ("kind", "apiVersion") if not obj.get(name)), None)
    if missing is not None:
        text = content.decode(errors="replace")
        begun = text if text[:1] == "{" else content.hex()
        more = " ..." if len(content) > _SHOWN else ""
        raise errors.BadRequest(
            f"the object provided is unrecognized (must be of type {wanted.kind}): "
            f"Object '{missing.replace('kind', 'Kind')}' is missing in '{text}' "
            f"({begun[: _SHOWN if text[:1] == '{' else 2 * _SHOWN]}{more})"
        )


_SHOWN = 30  # bytes of a body that a message ends with


async def read_optional(
    endpoints: Endpoints, context: RequestContext, scope: Scope, receive: Receive, kinds: Sequence[str]
) -> Object | None:
    """A body that may be missing, for DeleteOptions."""
    content = await read(receive)
    if not content:
        return None
    obj, _ = decode(content, content_type(scope), kinds[0])
    kind: Any = obj.get("kind")
    if kind and kind not in kinds:
        raise errors.BadRequest(f"decoded object cannot be converted to {kinds[0]}")
    return builtin.normalize_builtin(obj, GroupVersionKind("", "v1", kinds[0]), endpoints.schemas)[0]
