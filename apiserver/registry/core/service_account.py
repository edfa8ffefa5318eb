"""Service accounts: the `token` subresource."""

from __future__ import annotations

from apiserver.registry.resource import Resource
from apiserver.registry.store import Registry
from apiserver.request import RequestContext
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import METADATA, SPEC, FieldError, invalid
from kubarium.apimachinery.object import Object, name_of, spec_of, uid_of

MIN_SECONDS, DEFAULT_SECONDS, MAX_SECONDS = 600, 3600, 1 << 32
_GROUP = "authentication.k8s.io"
_BOUND = {"Pod": "pods", "Node": "nodes", "Secret": "secrets"}


async def issue_token(registry: Registry, row: Resource, context: RequestContext, request: Object) -> Object:
    """POST serviceaccounts/<name>/token: a TokenRequest comes back with the token in its status."""
    if registry.issue_token is None:
        raise errors.NotFound.page()
    spec = request.setdefault("spec", {})
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    found: list[FieldError] = []
    if seconds < MIN_SECONDS:
        found.append(
            invalid(SPEC / "expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        )
    if seconds > MAX_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
        found.append(invalid(SPEC / "expirationSeconds", seconds, text))
    if found:
        raise errors.Invalid.of(_GROUP, "TokenRequest", "", found)
    name = name_of(request)
    if name and name != context.info.name:
        wrong = invalid(METADATA / "name", name, "must match the service account name if specified")
        raise errors.Invalid.of(_GROUP, "TokenRequest", context.info.name, [wrong])
    account = (await registry.get(row, context.info.namespace, context.info.name)).obj
    _check_addressee(request, account)
    bound = await _bound_object(registry, context, account, spec.get("boundObjectRef"))
    metadata: Object = request.setdefault("metadata", {})
    metadata |= {
        "name": name_of(account),
        "namespace": context.info.namespace,
        "creationTimestamp": registry.now(),
    }
    return await registry.issue_token(account, request, bound)


def _check_addressee(request: Object, account: Object) -> None:
    """The account may have been deleted and made again. Raises Conflict."""
    uid = (request.get("metadata") or {}).get("uid")
    if uid and uid != uid_of(account):
        why = (
            f"the UID in the token request ({uid}) does not match the UID of the service account "
            f"({uid_of(account)})"
        )
        raise errors.Conflict.of(_GROUP, "TokenRequest", name_of(account), why)


async def _bound_object(
    registry: Registry, context: RequestContext, account: Object, reference: Object | None
) -> dict[str, Object]:
    """The object that the token lives and dies with, and the pod's node: by kind in lower case."""
    if not reference:
        return {}
    kind, name = reference.get("kind") or "", reference.get("name") or ""
    if kind not in _BOUND or reference.get("apiVersion") not in ("v1", None, ""):
        text = f"cannot bind token for serviceaccount to {reference.get('apiVersion')}, Kind={kind}"
        raise errors.BadRequest(text)
    row = registry.resources("", _BOUND[kind])
    namespace = context.info.namespace if row.namespaced else ""
    found = (await registry.get(row, namespace, name, newest=True)).obj
    if reference.get("uid") and reference["uid"] != uid_of(found):
        why = (
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record "
            f"({uid_of(found)}). The object might have been deleted and then recreated"
        )
        raise errors.Conflict.of("", _BOUND[kind], name, why)
    bound = {kind.lower(): found}
    if kind == "Pod":
        if spec_of(found).get("serviceAccountName") != name_of(account):
            raise errors.BadRequest(
                f'cannot bind token for serviceaccount "{name_of(account)}" to pod running with different '
                "serviceaccount name."
            )
        bound |= await _node_of(registry, spec_of(found).get("nodeName") or "")
    return bound


async def _node_of(registry: Registry, name: str) -> dict[str, Object]:
    if not name:
        return {}
    try:
        return {"node": (await registry.get(registry.resources("", "nodes"), "", name)).obj}
    except errors.NotFound:
        return {"node": {"metadata": {"name": name}}}
