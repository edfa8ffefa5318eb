"""Resources that are answered, never stored: who am I, whose token is this, may they?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from apiserver.registry.resource import Resource
from apiserver.registry.store import Registry
from apiserver.request import RequestContext, RequestInfo, User
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import SPEC, FieldError, InOrder, invalid
from kubarium.apimachinery.object import Object

_GROUP = "authorization.k8s.io"


class Reviewer(Protocol):
    """Authentication and authorization, as the reviews need them. Built in `app.py`."""

    async def whose(self, token: str, audiences: Sequence[str]) -> tuple[User | None, Sequence[str], str]:
        """Whose token is it, which of the audiences does it have, and what is wrong with it?"""
        ...

    async def may(self, user: User, info: RequestInfo) -> tuple[bool, bool, str]:
        """Is it allowed, is it denied expressly, and why?"""
        ...

    def rules(self, user: User, namespace: str) -> tuple[list[Object], list[Object], bool]:
        """Rules about resources, rules about paths, and whether there may be more."""
        ...


def _reviewer(registry: Registry) -> Reviewer:
    reviewer: Reviewer | None = registry.reviewer
    if reviewer is None:
        raise errors.NotFound.page()
    return reviewer


async def review_self(registry: Registry, row: Resource, context: RequestContext, review: Object) -> Object:
    """SelfSubjectReview: who am I?"""
    return _with_status(registry, review, {"userInfo": context.user.info})


async def review_token(registry: Registry, row: Resource, context: RequestContext, review: Object) -> Object:
    """TokenReview: whose token is this?"""
    spec = review.get("spec") or {}
    if not spec.get("token"):
        raise errors.BadRequest("token is required for TokenReview in authentication")
    user, audiences, problem = await _reviewer(registry).whose(spec["token"], spec.get("audiences") or ())
    if user is None:
        return _with_status(registry, review, {"user": {}, **({"error": problem} if problem else {})})
    status: Object = {"authenticated": True, "user": user.info}
    if audiences:
        status["audiences"] = list(audiences)
    return _with_status(registry, review, status)


async def review_access(registry: Registry, row: Resource, context: RequestContext, review: Object) -> Object:
    """SubjectAccessReview: may they?"""
    spec = review.get("spec") or {}
    found = [*_attribute_errors(spec), *_subject_errors(spec)]
    _raise(found)
    extra = {key.lower(): tuple(values) for key, values in (spec.get("extra") or {}).items()}
    user = User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)
    return await _decided(registry, review, user)


async def review_local_access(
    registry: Registry, row: Resource, context: RequestContext, review: Object
) -> Object:
    """LocalSubjectAccessReview: may they, in this namespace?"""
    spec = review.get("spec") or {}
    asked, plain = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    found = [*_attribute_errors(spec), *_subject_errors(spec)]
    if asked is not None and (asked.get("namespace") or "") != context.info.namespace:
        at = SPEC / "resourceAttributes" / "namespace"
        found.append(invalid(at, asked.get("namespace") or "", "must match metadata.namespace"))
    if plain is not None:
        at = SPEC / "nonResourceAttributes"
        found.append(invalid(at, _shown_path(plain), "disallowed on this kind of request"))
    _raise(found)
    return await review_access(registry, row, context, review)


async def review_own_access(
    registry: Registry, row: Resource, context: RequestContext, review: Object
) -> Object:
    """SelfSubjectAccessReview: may I?"""
    _raise(_attribute_errors(review.get("spec") or {}))
    return await _decided(registry, review, context.user)


async def review_own_rules(
    registry: Registry, row: Resource, context: RequestContext, review: Object
) -> Object:
    """SelfSubjectRulesReview: what may I?"""
    namespace = (review.get("spec") or {}).get("namespace")
    if not namespace:
        raise errors.BadRequest("no namespace on request")
    resources, paths, incomplete = _reviewer(registry).rules(context.user, namespace)
    status = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": incomplete}
    head: Object = {key: review[key] for key in ("apiVersion", "kind") if key in review}
    return {**head, "metadata": {}, "spec": {}, "status": status}


async def _decided(registry: Registry, review: Object, user: User) -> Object:
    allowed, denied, reason = await _reviewer(registry).may(user, _question(review["spec"]))
    status: Object = {"allowed": allowed}
    if denied:
        status["denied"] = True
    if reason:
        status["reason"] = reason
    return _with_status(registry, review, status)


def _question(spec: Object) -> RequestInfo:
    asked = spec.get("resourceAttributes")
    if asked is None:
        plain = spec["nonResourceAttributes"]
        return RequestInfo(plain.get("path") or "", plain.get("verb") or "")
    return RequestInfo(
        "",
        asked.get("verb") or "",
        True,
        "apis" if asked.get("group") else "api",
        asked.get("group") or "",
        asked.get("version") or "*",
        asked.get("namespace") or "",
        asked.get("resource") or "",
        asked.get("subresource") or "",
        asked.get("name") or "",
        label_selector=(asked.get("labelSelector") or {}).get("rawSelector") or "",
        field_selector=(asked.get("fieldSelector") or {}).get("rawSelector") or "",
    )


def _attribute_errors(spec: Object) -> list[FieldError]:
    both = spec.get("resourceAttributes") is not None, spec.get("nonResourceAttributes") is not None
    if both == (True, True):
        text = "cannot be specified in combination with resourceAttributes"
        return [invalid(SPEC / "nonResourceAttributes", _shown_path(spec["nonResourceAttributes"]), text)]
    if both == (False, False):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid(SPEC / "resourceAttributes", None, text)]
    return []


def _subject_errors(spec: Object) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [invalid(SPEC / "user", spec.get("user") or "", "at least one of user or group must be specified")]


def _shown_path(attributes: Object) -> InOrder:
    """Attributes of a path as messages show them: by the names of the internal type."""
    return InOrder(Path=attributes.get("path") or "", Verb=attributes.get("verb") or "")


def _raise(found: list[FieldError]) -> None:
    if found:  # upstream asks the decoded review for its kind, which decoding has taken from it
        raise errors.Invalid.of(_GROUP, "", "", found)


def _with_status(registry: Registry, review: Object, status: Object) -> Object:
    metadata = review.get("metadata") or {}
    return {**review, "metadata": {"creationTimestamp": registry.now(), **metadata}, "status": status}
