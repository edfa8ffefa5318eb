"""Count, compare, reserve: what a namespace's quotas do not allow is refused, what they allow is booked at once.

The booking is a compare-and-swap on the quota's status, so that two API servers cannot both give away the last piece;
if the write fails later, the booking is undone.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence

from apiserver.admission.namespaces import InNamespace
from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core import quota_usage
from kubarium.api.core.quota_usage import Usage
from kubarium.apimachinery import errors, quantity
from kubarium.apimachinery.object import (
    Object,
    copy,
    key_of,
    name_of,
    resource_version_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

_ATTEMPTS = 5
_NOT_COUNTED = frozenset(
    {"subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews",
     "tokenreviews", "selfsubjectreviews", "bindings", "events"}
)  # fmt: skip


class ResourceQuota(AdmissionPlugin):
    """Asked last: nothing may refuse the object after something was booked for it."""

    name = "ResourceQuota"
    operations = frozenset({CREATE, UPDATE})

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, configuration: Object | None = None
    ) -> None:
        self._limited: list[Object] = (configuration or {}).get("limitedResources") or []
        self._quotas = client.resource("v1", "resourcequotas")
        self._present = InNamespace(client, informers, clock, "resourcequotas")
        self._booked: dict[str, Object] = {}  # our last write of each quota, by uid: the cache may lag behind
        self._locks: dict[str, asyncio.Lock] = {}
        informers.informer("v1", "resourcequotas").add_handler(on_delete=self._forget)

    def _forget(self, quota: Object) -> None:
        self._booked.pop(uid_of(quota), None)

    async def validate(self, attributes: Attributes) -> None:
        """Book what the object uses more than before."""
        if not attributes.namespace or not _counts(attributes):
            return
        quotas = await self._present.all(attributes.namespace)
        if attributes.is_for("", "resourcequotas"):
            self._present.forget(attributes.namespace)
        if self._limited:
            _check_limited(attributes, self._limited, quotas)
        if not quotas:
            return
        lock = self._locks.setdefault(attributes.namespace, asyncio.Lock())
        async with lock:
            for quota in quotas:
                await self._book(attributes, quota)

    async def _book(self, attributes: Attributes, quota: Object) -> None:
        group, plural = attributes.resource.group, attributes.resource.resource
        hard = _counted(self._newest(quota))
        if not quota_usage.in_scope(quota, group, plural, attributes.new):
            return
        usage = {name: amount for name, amount in quota_usage.usage_of(group, plural, attributes.new).items()
                 if name in hard}  # fmt: skip
        if attributes.is_for("", "pods") and attributes.operation == CREATE:
            missing = quota_usage.unspecified(attributes.new, hard)
            if missing:
                raise attributes.forbidden(
                    f"failed quota: {name_of(quota)}: must specify {'; '.join(missing)}"
                )
        before: Usage = {}
        if attributes.old is not None and quota_usage.in_scope(quota, group, plural, attributes.old):
            before = {name: amount for name, amount in quota_usage.usage_of(group, plural, attributes.old).items()
                      if name in hard}  # fmt: skip
        more = {name: amount for name, amount in quota_usage.difference(usage, before).items()
                if quantity.compare(amount, "0") > 0}  # fmt: skip
        if more:
            await self._reserve(attributes, self._newest(quota), more)

    def _newest(self, quota: Object) -> Object:
        ours = self._booked.get(uid_of(quota))
        if ours is None:
            return quota
        if int(resource_version_of(ours)) > int(resource_version_of(quota)):
            return ours
        del self._booked[uid_of(quota)]
        return quota

    async def _reserve(self, attributes: Attributes, quota: Object, more: Usage) -> None:
        for attempt in range(_ATTEMPTS):
            check(attributes, quota, more)
            if attributes.dry_run:
                return
            try:
                await self._write(quota, more)
            except errors.Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
                quota = await self._quotas.get(name_of(quota), attributes.namespace)
                continue
            attributes.undo.append(functools.partial(self._give_back, quota, more))
            return

    async def _write(self, quota: Object, more: Mapping[str, str]) -> None:
        new = copy(quota)
        used = new.setdefault("status", {}).setdefault("used", {})
        for name, amount in more.items():
            used[name] = quantity.add(used.get(name, "0"), amount)
        self._booked[uid_of(quota)] = await self._quotas.update_status(new)

    async def _give_back(self, quota: Object, more: Usage) -> None:
        key = key_of(quota)
        async with self._locks.setdefault(key.namespace, asyncio.Lock()):
            for _ in range(_ATTEMPTS):
                try:
                    newest = await self._quotas.get(key.name, key.namespace)
                    less = {name: quantity.subtract("0", amount) for name, amount in more.items()}
                    await self._write(newest, less)
                except errors.Conflict:
                    continue
                except errors.NotFound:
                    return
                return


def _counted(quota: Object) -> Mapping[str, str]:
    """The bounds that hold: those that the quota's controller has taken up in the status."""
    found: Mapping[str, str] = status_of(quota).get("hard") or {}
    return found


def check(attributes: Attributes, quota: Object, more: Usage) -> None:
    """Raises Forbidden if the quota has not that much left."""
    status = status_of(quota)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    unknown = sorted(name for name in more if name not in hard or name not in used)
    if unknown:
        raise attributes.forbidden(
            f"status unknown for quota: {name_of(quota)}, resources: {','.join(unknown)}"
        )
    too_much = [
        name
        for name in sorted(more)
        if quantity.compare(quantity.add(used[name], more[name]), hard[name]) > 0
    ]
    if too_much:
        asked = ",".join(f"{name}={more[name]}" for name in too_much)
        taken = ",".join(f"{name}={quantity.canonical(used[name])}" for name in too_much)
        bound = ",".join(f"{name}={quantity.canonical(hard[name])}" for name in too_much)
        raise attributes.forbidden(
            f"exceeded quota: {name_of(quota)}, requested: {asked}, used: {taken}, limited: {bound}"
        )


def _check_limited(attributes: Attributes, limited: Sequence[Object], quotas: Sequence[Object]) -> None:
    """Some resources may be used only where a quota speaks of them. Raises Forbidden."""
    group, plural, new = attributes.resource.group, attributes.resource.resource, attributes.new
    concerned = [
        one for one in limited if (one.get("apiGroup") or "", one.get("resource")) == (group, plural)
    ]
    if not concerned:
        return
    usage = quota_usage.usage_of(group, plural, new)
    ours = [quota for quota in quotas if quota_usage.in_scope(quota, group, plural, new)]
    covered = {name for quota in ours for name in _counted(quota)}
    names = {
        name
        for one in concerned
        for part in one.get("matchContains") or ()
        for name, amount in usage.items()
        if part in name and quantity.compare(amount, "0") > 0
    }
    if names - covered:
        raise attributes.forbidden(f"insufficient quota to consume: {','.join(sorted(names - covered))}")
    wanted = [
        scope
        for one in concerned
        for scope in one.get("matchScopes") or ()
        if quota_usage.has_scope(new, scope)
    ]
    missing = [scope for scope in wanted if not any(_selects(quota, scope) for quota in ours)]
    if missing:
        shown = " ".join(
            f"{{{scope.get('scopeName')} {scope.get('operator')} [{' '.join(scope.get('values') or ())}]}}"
            for scope in missing
        )
        raise attributes.forbidden(f"insufficient quota to match these scopes: [{shown}]")


def _selects(quota: Object, scope: Object) -> bool:
    """Does a quota speak of a scope?"""
    spec = spec_of(quota)
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return scope.get("scopeName") in (spec.get("scopes") or ()) or any(
        one.get("scopeName") == scope.get("scopeName") for one in selected
    )


def _counts(attributes: Attributes) -> bool:
    if attributes.resource.resource in _NOT_COUNTED:
        return False
    if attributes.subresource:
        return attributes.is_for("", "pods", subresource="resize")
    if attributes.operation == CREATE:
        return True
    return attributes.is_for("", "services", "persistentvolumeclaims")
