"""Delete, orphan or wait.

For an object that was put up for a look:
  * it waits for its dependents (foreground): none of them blocks any more → let it go; else look at them
  * its owners, asked for one by one:  some live on  → drop the references to those that do not
                                        some wait for it → delete it, foreground if it has dependents itself
                                        all are gone    → delete it in the background
For an object that orphans: take it out of its dependents' references, then let it go.

Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from controller_manager.controllers.cleanup.garbage_collector.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Look,
    Node,
    Owner,
    Place,
)
from controller_manager.controllers.cleanup.garbage_collector.watcher import Watcher
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import (
    Object,
    finalizers_of,
    is_deleting,
    resource_version_of,
    uid_of,
)
from kubarium.client.discovery import Discovery
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.client.work_queue import ShutDown, WorkQueue
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

METADATA = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}
ABSENT_MEMORY = 500  # owners remembered as absent, so that a thousand orphans do not ask a thousand times


class NotServed(Exception):
    """The kind of an owner is unknown to the server just now; it may come back."""


class Unresolvable(Exception):
    """A reference that can never be followed: a cluster-wide object cannot belong to one in a namespace."""


class GarbageCollector:
    """Removes objects whose owners are gone."""

    name = "garbage-collector-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 20
    ) -> None:
        self._client, self._clock, self._workers, self._events = client, clock, workers, events
        self.graph = Graph()
        backoff = Backoff(initial=0.005, maximum=60.0)
        self._delete: WorkQueue[str] = WorkQueue(clock, backoff)
        self._orphan: WorkQueue[str] = WorkQueue(clock, backoff)
        self._absent: OrderedDict[tuple[str, Place], None] = OrderedDict()
        self.watcher = Watcher(informers, Discovery(client), self.graph, self._look, clock)
        definitions = informers.informer("apiextensions.k8s.io/v1", "customresourcedefinitions")
        soon = self.watcher.look_soon
        definitions.add_handler(lambda *_: soon(), lambda *_: soon(), lambda *_: soon())

    async def run(self) -> None:
        """Fill the graph, then work until cancelled."""
        await self._fill()
        log.info("%s started with %d objects", self.name, len(self.graph.nodes))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watcher.run(), name="garbage collector watcher")
            for number in range(self._workers):
                group.create_task(
                    self._work(self._delete, self._attempt_to_delete), name=f"gc delete {number}"
                )
            group.create_task(self._work(self._orphan, self._attempt_to_orphan), name="gc orphan")

    async def _fill(self) -> None:
        while True:
            try:
                await self.watcher.refresh()
                return
            except (errors.StatusError, ConnectionError, TimeoutError) as error:
                log.info("cannot ask discovery: %s", error)
                await self._clock.sleep(1.0)

    def _look(self, look: Look) -> None:
        for uid in look.delete:
            self._delete.add(uid)
        for uid in look.orphan:
            self._orphan.add(uid)
        for node, owner in look.strangers:
            self._complain(node, owner)

    async def _work(self, queue: WorkQueue[str], attempt: Callable[[str], Awaitable[None]]) -> None:
        while True:
            try:
                uid = await queue.get()
            except ShutDown:
                return
            try:
                await attempt(uid)
            except errors.Conflict:
                queue.add_rate_limited(uid)
            except Unresolvable as error:
                log.info("%s", error)
            except NotServed as error:
                log.debug("%s", error)
                self.watcher.look_soon()
                queue.add_rate_limited(uid)
            except Exception as error:  # the edge of the loop
                surprising = errors.is_surprising(error)
                log.warning("cannot collect %s: %s", self._name_of(uid), error, exc_info=surprising)
                queue.add_rate_limited(uid)
            else:
                queue.forget(uid)
            finally:
                queue.done(uid)

    def _name_of(self, uid: str) -> str:
        node = self.graph.nodes.get(uid)
        return str(node.place) if node is not None else uid

    # ---- one object

    async def _attempt_to_delete(self, uid: str) -> None:
        node = self.graph.nodes.get(uid)
        if node is None or (node.deleting and not node.deleting_dependents):
            return
        live = await self._get(node.place)
        if live is None or uid_of(live) != uid:
            self._it_is_gone(node)
            return
        if node.virtual:
            self._delete.add_after(uid, 1.0)  # it exists: its own watch will tell us soon
            return
        if node.deleting_dependents:
            await self._process_deleting_dependents(node, live)
            return
        if is_deleting(live) or not owners.owners_of(live):
            return
        await self._judge(node, live)

    def _it_is_gone(self, node: Node) -> None:
        if node.virtual:
            self._remember_absent(node.place, node.uid)
            self._look(self.graph.forget_absent(node.uid))
        # A node that is not virtual goes when its watch says so.

    async def _process_deleting_dependents(self, node: Node, live: Object) -> None:
        blocking = node.blocking_dependents()
        if not blocking:
            await self._remove_finalizer(node.place, live, FOREGROUND)
            return
        for one in blocking:
            if not one.deleting_dependents:
                self._delete.add(one.uid)

    async def _judge(self, node: Node, live: Object) -> None:
        solid, dangling, waiting = await self._classify(node)
        if solid:
            if dangling or waiting:
                log.info(
                    "%s keeps its living owners and loses %d references", node.place, len(dangling + waiting)
                )
                await self._drop_owners(node.place, live, {owner.uid for owner in [*dangling, *waiting]})
            return
        if waiting and node.dependents:
            if any(one.deleting_dependents for one in node.dependents.values()):
                await self._unblock_owners(node.place, live)  # a circle: nobody would ever go first
            await self._delete_object(node.place, live, "Foreground")
            return
        finalizers = finalizers_of(live)
        policy = (
            "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
        )
        await self._delete_object(node.place, live, policy)

    async def _classify(self, node: Node) -> tuple[list[Owner], list[Owner], list[Owner]]:
        """The node's owners: alive, gone, waiting for their dependents."""
        solid: list[Owner] = []
        dangling: list[Owner] = []
        waiting: list[Owner] = []
        for owner in node.owners:
            if (owner.uid, owner.place) in self._absent:
                dangling.append(owner)
                continue
            found = await self._get_owner(node, owner)
            if found is None or uid_of(found) != owner.uid:
                self._remember_absent(owner.place, owner.uid)
                dangling.append(owner)
            elif is_deleting(found) and FOREGROUND in finalizers_of(found):
                waiting.append(owner)
            else:
                solid.append(owner)
        return solid, dangling, waiting

    async def _get_owner(self, node: Node, owner: Owner) -> Object | None:
        kind = self.watcher.served(owner.place.group, owner.place.kind)
        if kind is not None and kind.namespaced and not node.place.namespace:
            self._complain(node, owner)
            raise Unresolvable(f"{node.place} names {owner.place}, which is in a namespace, as its owner")
        return await self._get(owner.place)

    def _complain(self, node: Node, owner: Owner) -> None:
        place = node.place
        kind = self.watcher.served(place.group, place.kind)
        subject = {
            "kind": place.kind,
            "apiVersion": kind.api_version if kind is not None else "",
            "metadata": {"namespace": place.namespace, "name": place.name, "uid": node.uid},
        }
        text = (
            f"ownerRef [{owner.api_version}/{owner.place.kind}, namespace: {place.namespace}, "
            f'name: {owner.place.name}, uid: {owner.uid}] does not exist in namespace "{place.namespace}"'
        )
        self._events.event(subject, "Warning", "OwnerRefInvalidNamespace", text)

    async def _attempt_to_orphan(self, uid: str) -> None:
        node = self.graph.nodes.get(uid)
        if node is None:
            return
        live = await self._get(node.place)
        if live is None or uid_of(live) != uid:
            return
        for one in list(node.dependents.values()):
            dependent = await self._get(one.place)
            if dependent is not None and uid_of(dependent) == one.uid:
                await self._drop_owners(one.place, dependent, {uid})
        await self._remove_finalizer(node.place, live, ORPHAN)

    # ---- requests

    def _resource_path(self, place: Place) -> str:
        kind = self.watcher.served(place.group, place.kind)
        if kind is None:
            raise NotServed(f"no matches for kind {place.kind!r} in group {place.group!r}")
        namespace = place.namespace if kind.namespaced else ""
        return self._client.resource(kind.api_version, kind.plural).path(namespace, place.name)

    async def _get(self, place: Place) -> Object | None:
        try:
            found: Object = await self._client.request("GET", self._resource_path(place), headers=METADATA)
            return found
        except errors.NotFound:
            return None

    async def _patch(self, place: Place, live: Object, metadata: Object) -> None:
        """Change metadata, guarded by uid and resourceVersion. A stale read is a conflict, and tried again."""
        guarded = {"uid": uid_of(live), "resourceVersion": resource_version_of(live), **metadata}
        headers = {**METADATA, "Content-Type": "application/merge-patch+json"}
        try:
            await self._client.request(
                "PATCH", self._resource_path(place), body={"metadata": guarded}, headers=headers
            )
        except errors.NotFound:
            return

    async def _remove_finalizer(self, place: Place, live: Object, finalizer: str) -> None:
        left = [one for one in finalizers_of(live) if one != finalizer]
        if len(left) != len(finalizers_of(live)):
            await self._patch(place, live, {"finalizers": left or None})

    async def _drop_owners(self, place: Place, live: Object, uids: set[str]) -> None:
        left = [one for one in owners.owners_of(live) if one.get("uid") not in uids]
        await self._patch(place, live, {"ownerReferences": left or None})

    async def _unblock_owners(self, place: Place, live: Object) -> None:
        open_: Sequence[Object] = [{**one, "blockOwnerDeletion": False} for one in owners.owners_of(live)]
        await self._patch(place, live, {"ownerReferences": open_})

    async def _delete_object(self, place: Place, live: Object, policy: str) -> None:
        log.info("deleting %s, its owners are gone (%s)", place, policy)
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid_of(live)},
            "propagationPolicy": policy,
        }
        try:
            await self._client.request("DELETE", self._resource_path(place), body=options)
        except errors.NotFound:
            return  # a conflict is tried again: the next look finds the namesake, if there is one

    def _remember_absent(self, place: Place, uid: str) -> None:
        """Exactly there: somebody else may name the same owner rightly."""
        self._absent[(uid, place)] = None
        if len(self._absent) > ABSENT_MEMORY:
            self._absent.popitem(last=False)
