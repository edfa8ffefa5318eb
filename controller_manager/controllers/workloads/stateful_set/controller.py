"""StatefulSet: claim pods, know the revisions, make a plan, carry it out, write the status."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from controller_manager.adoption import Adoption, candidates, dependent_keys, index_by_controller
from controller_manager.controllers.workloads.stateful_set import pods as identity
from controller_manager.controllers.workloads.stateful_set.plan import Plan, Revision, make_plan, next_status
from controller_manager.pod_control import failures_in, is_namespace_terminating
from controller_manager.revisions import Revisions, belongs_to, ordered
from kubarium.api.apps import stateful_set as sets
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class StatefulSetController(Controller):
    """Keeps numbered pods with claims of their own."""

    name = "statefulset-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 5
    ) -> None:
        self.workers, self.events = workers, events
        self.sets = informers.informer("apps/v1", "statefulsets").lister
        self.pods = index_by_controller(informers.informer("v1", "pods"))
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.history = informers.informer("apps/v1", "controllerrevisions").lister
        self.set_client = client.resource("apps/v1", "statefulsets")
        self.pod_client = client.resource("v1", "pods")
        self.claim_client = client.resource("v1", "persistentvolumeclaims")
        self.adoption = Adoption(self.set_client, self.pod_client, "apps/v1", "StatefulSet")
        self.revisions = Revisions(
            client.resource("apps/v1", "controllerrevisions"), "apps/v1", "StatefulSet"
        )
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        of_pod = dependent_keys("StatefulSet", self.sets, sets.selector_of)
        return [
            Watch("apps/v1", "statefulsets"),
            Watch("v1", "pods", keys=of_pod),
            Watch("v1", "persistentvolumeclaims", keys=lambda claim: ()),
            Watch("apps/v1", "controllerrevisions", keys=lambda revision: ()),
        ]

    async def reconcile(self, key: ObjectKey) -> float | None:
        stateful_set = self.sets.get(key)
        if stateful_set is None:
            return None
        pods = await self._claim(stateful_set)
        current, update, collisions = await self._revisions(stateful_set)
        plan = make_plan(stateful_set, pods, current, update, self.clock.now())
        failure = await self._carry_out(stateful_set, plan, pods)
        status = next_status(stateful_set, pods, current, update, collisions, self.clock.now())
        if status != status_of(stateful_set):
            changed = copy(stateful_set)
            changed["status"] = status
            await self.set_client.update_status(changed)
        await self._trim(stateful_set, pods, current, update)
        if failure is not None:
            raise failure
        return self._seconds_to_availability(stateful_set, pods)

    async def _claim(self, stateful_set: Object) -> list[Object]:
        ours = [
            pod
            for pod in candidates(self.pods, stateful_set)
            if sets.ordinal_of(pod, stateful_set) is not None or owners.is_controlled_by(pod, stateful_set)
        ]
        return await self.adoption.claim(stateful_set, sets.selector_of(stateful_set), ours)

    # ---- revisions

    def _history(self, stateful_set: Object) -> list[Object]:
        selector = sets.selector_of(stateful_set)
        found = self.history.list(namespace_of(stateful_set))
        return [one for one in found if belongs_to(one, stateful_set) and selector.matches(labels_of(one))]

    async def _revisions(self, stateful_set: Object) -> tuple[Revision, Revision, int]:
        """The revision that old pods have, the one that new pods get, and the count of collisions."""
        history = self._history(stateful_set)
        collisions = status_of(stateful_set).get("collisionCount") or 0
        data = {"spec": {"template": {**spec_of(stateful_set)["template"], "$patch": "replace"}}}
        labels = (spec_of(stateful_set).get("selector") or {}).get("matchLabels") or {}
        update, collisions = await self.revisions.current(stateful_set, history, data, labels, collisions)
        known = {name_of(one): one for one in history}
        current = known.get(status_of(stateful_set).get("currentRevision") or "", update)
        return _revision(current), _revision(update), collisions

    async def _trim(
        self, stateful_set: Object, pods: Sequence[Object], current: Revision, update: Revision
    ) -> None:
        used = {current.name, update.name, *map(identity.revision_of, pods)}
        limit = sets.revision_history_limit_of(stateful_set)
        await self.revisions.trim(ordered(self._history(stateful_set)), limit, used)

    # ---- effects

    async def _carry_out(self, stateful_set: Object, plan: Plan, pods: Sequence[Object]) -> Exception | None:
        try:
            for pod, number in plan.repair:
                await self._repair(stateful_set, pod, number)
        except errors.StatusError as error:
            return error
        work = [
            *(self._create(stateful_set, number, revision) for number, revision in plan.create),
            *(self._restart(stateful_set, pod) for pod in plan.restart),
            *(self._condemn(stateful_set, pod) for pod in plan.condemn),
            *(self._delete(stateful_set, pod) for pod in plan.update),
        ]
        failures = failures_in(await asyncio.gather(*work, return_exceptions=True))
        return failures[0] if failures else None

    async def _repair(self, stateful_set: Object, pod: Object, number: int) -> None:
        if pod_status.phase_of(pod) == pod_status.PENDING:
            await self._make_claims(stateful_set, pod, number)
        patch = identity.lost_identity(pod, stateful_set, number)
        if patch is not None:
            await self.pod_client.patch(name_of(pod), patch, namespace_of(pod))
        await self._keep_promises(stateful_set, pod, number, condemned=False)

    async def _create(self, stateful_set: Object, number: int, revision: Revision) -> None:
        pod = identity.new_pod(stateful_set, revision.template, revision.name, number)
        await self._make_claims(stateful_set, pod, number)
        try:
            created = await self.pod_client.create(pod)
        except errors.AlreadyExists:
            raise  # the cache is late; or it is somebody else's, and nobody will tell us when it goes
        except errors.StatusError as error:
            if not is_namespace_terminating(error):
                self._say(stateful_set, "Warning", "FailedCreate", "create", pod, f"failed error: {error}")
                raise
            return
        self._say(stateful_set, "Normal", "SuccessfulCreate", "create", pod, "successful")
        await self._keep_promises(stateful_set, created, number, condemned=False)

    async def _make_claims(self, stateful_set: Object, pod: Object, number: int) -> None:
        for claim in identity.claims_for(stateful_set, number):
            stored = self.claims.get(namespace_of(claim), name_of(claim))
            if stored is not None:
                if is_deleting(stored):
                    text = f"pvc {name_of(claim)} is being deleted"
                    raise errors.Conflict(text)
                continue
            claim["metadata"]["ownerReferences"] = (
                identity.claim_owners(claim, stateful_set, None, condemned=False) or None
            )
            subject = f"Claim {name_of(claim)} Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)}"
            try:
                await self.claim_client.create(claim)
            except errors.AlreadyExists:
                continue
            except errors.StatusError as error:
                text = f"create {subject} failed error: {error}"
                self.events.event(stateful_set, "Warning", "FailedCreate", text)
                raise
            self.events.event(stateful_set, "Normal", "SuccessfulCreate", f"create {subject} success")

    async def _keep_promises(
        self, stateful_set: Object, pod: Object, number: int, *, condemned: bool
    ) -> None:
        """Let the claims belong to whoever must take them along: see `claim_owners`."""
        for template in sets.claim_templates_of(stateful_set):
            name = sets.claim_name(template, stateful_set, number)
            claim = self.claims.get(namespace_of(stateful_set), name)
            if claim is None or is_deleting(claim):
                continue
            wanted = identity.claim_owners(claim, stateful_set, pod, condemned=condemned)
            if _uids(wanted) == _uids(owners.owners_of(claim)):
                continue
            new = copy(claim)
            new["metadata"]["ownerReferences"] = wanted
            await self.claim_client.update(new)

    async def _restart(self, stateful_set: Object, pod: Object) -> None:
        kind = "Failed" if pod_status.phase_of(pod) == pod_status.FAILED else "Terminated"
        text = (
            f"StatefulSet {namespace_of(stateful_set)}/{name_of(stateful_set)} is recreating "
            f"{kind.lower()} Pod {name_of(pod)}"
        )
        self.events.event(stateful_set, "Warning", f"Recreating{kind}Pod", text)
        await self._delete(stateful_set, pod)

    async def _condemn(self, stateful_set: Object, pod: Object) -> None:
        number = sets.ordinal_of(pod, stateful_set)
        assert number is not None
        await self._keep_promises(stateful_set, pod, number, condemned=True)
        await self._delete(stateful_set, pod)

    async def _delete(self, stateful_set: Object, pod: Object) -> None:
        try:
            await self.pod_client.delete(name_of(pod), namespace_of(pod), preconditions={"uid": uid_of(pod)})
        except errors.NotFound:
            return
        except errors.Conflict:
            raise  # the pod has just changed: look again
        except errors.StatusError as error:
            self._say(stateful_set, "Warning", "FailedDelete", "delete", pod, f"failed error: {error}")
            raise
        self._say(stateful_set, "Normal", "SuccessfulDelete", "delete", pod, "successful")

    def _say(self, stateful_set: Object, type: str, reason: str, verb: str, pod: Object, how: str) -> None:
        text = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} {how}"
        self.events.event(stateful_set, type, reason, text)

    def _seconds_to_availability(self, stateful_set: Object, pods: Sequence[Object]) -> float | None:
        minimum = sets.min_ready_seconds_of(stateful_set)
        if not minimum:
            return None
        now = self.clock.now()
        moments = [
            since + timedelta(seconds=minimum) for pod in pods if (since := pod_status.ready_since(pod))
        ]
        waits = [(moment - now).total_seconds() for moment in moments if moment > now]
        return min(waits) + 0.001 if waits else None


def _revision(stored: Object) -> Revision:
    template = {key: value for key, value in stored["data"]["spec"]["template"].items() if key != "$patch"}
    return Revision(name_of(stored), template)


def _uids(references: Sequence[Object]) -> set[str]:
    return {reference.get("uid") or "" for reference in references}
