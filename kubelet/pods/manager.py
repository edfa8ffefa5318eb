"""The pods that should run here, by uid and by name; and which mirror pod shows which static pod."""

from __future__ import annotations

import asyncio

from kubarium.api.core.pod.static import HASH, MIRROR, is_mirror, is_static
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey, annotations_of, copy, is_deleting, key_of, uid_of
from kubarium.client.rest import Client
from kubarium.component_base import logging

log = logging.get(__name__)

PATIENCE = 5.0  # seconds


class PodManager:
    """Written by the sync loop only."""

    def __init__(self) -> None:
        self._pods: dict[str, Object] = {}
        self._by_key: dict[ObjectKey, str] = {}
        self._mirrors: dict[ObjectKey, Object] = {}

    def remember(self, pod: Object) -> None:
        """Add a pod or replace what was known of it."""
        if is_mirror(pod):
            self._mirrors[key_of(pod)] = pod
            return
        self._pods[uid_of(pod)] = pod
        self._by_key[key_of(pod)] = uid_of(pod)

    def forget(self, pod: Object) -> None:
        """The pod is gone from its source."""
        key = key_of(pod)
        if is_mirror(pod):
            if uid_of(self._mirrors.get(key, {})) == uid_of(pod):
                del self._mirrors[key]
            return
        self._pods.pop(uid_of(pod), None)
        if self._by_key.get(key) == uid_of(pod):
            del self._by_key[key]

    def all(self) -> list[Object]:
        """Every pod that should run here, static ones included, mirrors not."""
        return list(self._pods.values())

    def by_uid(self, uid: str) -> Object | None:
        """One pod."""
        return self._pods.get(uid)

    def newest(self, uid: str) -> Object | None:
        """A pod as the API server has it: for a static one its mirror, None while there is none."""
        pod = self.by_uid(uid)
        return self.mirror_of(pod) if pod is not None and is_static(pod) else pod

    def by_name(self, namespace: str, name: str) -> Object | None:
        """One pod."""
        return self._pods.get(self._by_key.get(ObjectKey(namespace, name), ""))

    def mirror_of(self, pod: Object) -> Object | None:
        """The object in the API server that shows a static pod."""
        return self._mirrors.get(key_of(pod))

    def static_of(self, mirror: Object) -> Object | None:
        """The static pod that a mirror shows."""
        pod = self._pods.get(self._by_key.get(key_of(mirror), ""))
        return pod if pod is not None and is_static(pod) else None

    def orphaned_mirrors(self) -> list[Object]:
        """Mirrors of static pods that are no more."""
        return [mirror for mirror in self._mirrors.values() if self.static_of(mirror) is None]


class MirrorClient:
    """Makes and deletes mirror pods."""

    def __init__(self, client: Client, node: str) -> None:
        self._pods = client.resource("v1", "pods")
        self._nodes = client.resource("v1", "nodes")
        self._node = node

    async def ensure(self, pod: Object, mirror: Object | None) -> None:
        """Have a mirror that shows this very pod; an outdated one goes first."""
        wanted = annotations_of(pod).get(HASH, "")
        if mirror is not None:
            if annotations_of(mirror).get(MIRROR) == wanted and not is_deleting(mirror):
                return
            await self.delete(mirror)
        shown = copy(pod)
        shown["metadata"].pop("uid", None)
        shown["metadata"]["annotations"][MIRROR] = wanted
        shown.pop("status", None)
        try:
            # The pod itself must not wait for its picture.
            async with asyncio.timeout(PATIENCE):
                node = await self._nodes.get(self._node)
                owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": uid_of(node)}
                shown["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
                await self._pods.create(shown)
        except errors.AlreadyExists:
            return
        except (errors.StatusError, OSError) as error:
            log.info("mirror of %s not made yet: %s", logging.name(pod), error)

    async def delete(self, mirror: Object) -> None:
        """Remove a mirror at once."""
        key = key_of(mirror)
        try:
            await self._pods.delete(key.name, key.namespace, grace_period_seconds=0)
        except errors.NotFound:
            return
        except (errors.StatusError, OSError) as error:
            log.info("mirror %s not deleted: %s", key, error)
