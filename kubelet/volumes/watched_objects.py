"""The ConfigMaps, Secrets and claims that pods here use, fetched when they are needed and kept for a short while.

A kubelet may only read what its own pods refer to, one object at a time; so there is no list and no common watch.
Many pods of one namespace share an object (its root certificate, say): they share the answer too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of
from kubarium.apimachinery.time import parse_time
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

TTL = 30.0  # seconds; a pod is looked at again every minute, so changes arrive within a minute and a half
PATIENCE = 1.0  # seconds for which an API server that was answering before is waited for
SILENCE = (errors.StatusError, OSError, TimeoutError)
RESOURCES = {
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "PersistentVolume": ("v1", "persistentvolumes"),
    "ResourceClaim": ("resource.k8s.io/v1", "resourceclaims"),
    "VolumeAttachment": ("storage.k8s.io/v1", "volumeattachments"),
    "ServiceAccount": ("v1", "serviceaccounts"),
}


@dataclass(slots=True)
class _Entry:
    answer: asyncio.Future[Object | None]
    fetched: float
    before: Object | None = None  # as it was when the API server last answered


class WatchedObjects:
    """A small cache of single objects."""

    def __init__(self, client: Client, clock: Clock, ttl: float = TTL) -> None:
        self._client = client
        self._ttl = ttl
        self._clock = clock
        self._entries: dict[tuple[str, str, str], _Entry] = {}

    async def fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None when it does not exist. Raises StatusError or OSError when that cannot be known.

        While the API server is away it is as it was: a container that must be restarted does not wait for it.
        """
        key, now = (kind, namespace, name), self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is None or now - entry.fetched > self._ttl or _is_useless(entry.answer):
            before = _known(entry) if entry is not None else None
            entry = self._entries[key] = _Entry(asyncio.ensure_future(self._get(*key)), now, before)
            entry.answer.add_done_callback(
                _is_useless
            )  # a failure that nobody waits for any more has been seen
            self._drop_old(now)
        if entry.before is None:
            return await asyncio.shield(entry.answer)
        return await self._newest(entry)

    async def _newest(self, entry: _Entry) -> Object | None:
        """What the API server says, if it says it soon; else what it said before."""
        patience = asyncio.ensure_future(self._clock.sleep(PATIENCE))
        waits: list[asyncio.Future[Any]] = [entry.answer, patience]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
        return _known(entry)

    def invalidate(self, pod: Object) -> None:
        """A new pod wants to see its namespace as it is now."""
        for key in [key for key in self._entries if key[1] == namespace_of(pod)]:
            del self._entries[key]

    async def fresh(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as it is now, past the cache."""
        return await self._get(kind, namespace, name)

    async def resized(self, claim: Object, status: Object) -> None:
        """Write a part of a claim's status."""
        claims = self._client.resource("v1", "persistentvolumeclaims")
        name, namespace = name_of(claim), namespace_of(claim)
        await claims.patch(name, {"status": status}, namespace, subresource="status")
        self._entries.pop(("PersistentVolumeClaim", namespace, name), None)

    async def _get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            found = await self._client.resource(*RESOURCES[kind]).get(name, namespace)
        except errors.NotFound:
            return None
        found.setdefault("kind", kind)
        return found

    def _drop_old(self, now: float) -> None:
        for key in [key for key, entry in self._entries.items() if now - entry.fetched > 4 * self._ttl]:
            del self._entries[key]


def _known(entry: _Entry) -> Object | None:
    """The answer, or while there is none, the one before."""
    if not entry.answer.done() or entry.answer.cancelled():
        return entry.before
    return entry.before if isinstance(entry.answer.exception(), SILENCE) else entry.answer.result()


def _is_useless(answer: asyncio.Future[Object | None]) -> bool:
    """Failed, or says that the object does not exist: ask again."""
    return answer.done() and (answer.cancelled() or answer.exception() is not None or answer.result() is None)


class TokenManager:
    """Tokens of service accounts, bound to their pods, renewed after four fifths of their life or a day."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._accounts = client.resource("v1", "serviceaccounts")
        self._clock = clock
        self._tokens: dict[tuple[str, str, int], tuple[Object, float]] = {}

    async def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A token that is good for a while. Raises StatusError or OSError."""
        text: str = (await self.status(pod, audience, seconds))["token"]
        return text

    async def status(self, pod: Object, audience: str, seconds: int) -> Object:
        """The same with its `expirationTimestamp`."""
        key, now = (uid_of(pod), audience, seconds), self._clock.now().timestamp()
        known = self._tokens.get(key)
        if known is not None and now < known[1]:
            return known[0]
        request: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else None,
                "expirationSeconds": seconds,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": name_of(pod),
                    "uid": uid_of(pod),
                },
            },
        }
        account = spec_of(pod).get("serviceAccountName") or "default"
        try:
            answer = await self._accounts.create(
                request, namespace_of(pod), name=account, subresource="token"
            )
        except SILENCE:
            if known is None or parse_time(known[0]["expirationTimestamp"]).timestamp() <= now:
                raise
            return known[0]  # it is still good for a while
        status: Object = answer["status"]
        life = parse_time(status["expirationTimestamp"]).timestamp() - now
        self._tokens[key] = (status, now + min(life * 0.8, 24 * 3600))
        return status

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._tokens if key[0] == pod_uid]:
            del self._tokens[key]
