"""Deployment: find or make the new ReplicaSet, then hand pods over to it.

    sync(deployment)
      1. claim the ReplicaSets that belong to us
      2. being deleted            → status only
      3. note pause and resume
      4. paused, or scaled        → share the size among the ReplicaSets
      5. Recreate                 → all down, wait, all up           (recreate.py)
         RollingUpdate            → one step up or one step down     (rolling.py)
      6. complete                 → forget ReplicaSets beyond the history limit
      7. status: counts, Available, Progressing, ReplicaFailure      (status.py)

Every pass takes one step; the ReplicaSets' own changes bring us back for the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from controller_manager.adoption import Adoption, dependent_keys, owner_of
from controller_manager.controllers.workloads.deployment import recreate, rolling, status
from controller_manager.controllers.workloads.deployment.rolling import Resize
from kubarium.api.apps import deployment as deployments
from kubarium.api.apps import replica_set as replica_sets
from kubarium.api.core.pod.template import POD_TEMPLATE_HASH, same_template, template_hash
from kubarium.apimachinery import conditions, errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    generation_of,
    is_deleting,
    key_of,
    labels_of,
    metadata_of,
    name_of,
    namespace_of,
    status_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

LONGEST_NAME = 253  # of a ReplicaSet; the hash at its end is never cut off
HISTORY_LENGTH = 2000  # characters of the annotation that lists a ReplicaSet's earlier revisions


class DeploymentController(Controller):
    """Rolls Deployments out."""

    name = "deployment-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 5
    ) -> None:
        self.workers = workers
        self.events = events
        self.deployments = informers.informer("apps/v1", "deployments").lister
        self.sets = informers.informer("apps/v1", "replicasets").lister
        self.pods = informers.informer("v1", "pods").lister
        self.deployment_client = client.resource("apps/v1", "deployments")
        self.set_client = client.resource("apps/v1", "replicasets")
        self.adoption = Adoption(self.deployment_client, self.set_client, "apps/v1", "Deployment")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        of_set = dependent_keys("Deployment", self.deployments, deployments.selector_of)
        return [
            Watch("apps/v1", "deployments"),
            Watch("apps/v1", "replicasets", keys=of_set),
            Watch("v1", "pods", keys=self._keys_of_gone_pod),
        ]

    def _keys_of_gone_pod(self, pod: Object) -> Iterable[ObjectKey]:
        """A Recreate rollout waits for the last old pod; other pods come to us as their ReplicaSet's status."""
        replica_set = owner_of(pod, "ReplicaSet", self.sets)
        deployment = (
            owner_of(replica_set, "Deployment", self.deployments) if replica_set is not None else None
        )
        if deployment is None or deployments.strategy_of(deployment) != deployments.RECREATE:
            return ()
        return (key_of(deployment),)

    async def reconcile(self, key: ObjectKey) -> float | None:
        cached = self.deployments.get(key)
        if cached is None:
            return None
        deployment = copy(cached)
        selector = deployments.selector_of(deployment)
        if selector.is_everything:
            await self._refuse_to_select_all(deployment)
            return None
        sets = await self.adoption.claim(deployment, selector, self.sets.list(key.namespace))
        if is_deleting(deployment):
            new, _ = split_sets(deployment, sets)
            return await self._write_rollout(deployment, new, sets, plain=True)
        noted = status.paused_or_resumed(deployment, self.clock.now())
        if noted is not None:
            deployment = await self._write_status(deployment, noted)
        if deployments.is_paused(deployment) or rolling.is_scaling(deployment, sets):
            return await self._resize_only(deployment, sets)
        if deployments.strategy_of(deployment) == deployments.RECREATE:
            return await self._roll_by_recreation(deployment, sets)
        return await self._roll(deployment, sets)

    # ---- the ways through a pass

    async def _resize_only(self, deployment: Object, sets: list[Object]) -> float | None:
        deployment, new, old = await self._prepare(deployment, sets, create=False)
        single = rolling.active_or_latest(new, old)
        everything = [*old, new] if new is not None else old
        steps: list[Resize] = []
        if single is not None:
            if replica_sets.replicas_of(single) != deployments.replicas_of(deployment):
                steps = [Resize(single, deployments.replicas_of(deployment))]
        elif rolling.is_saturated(deployment, new):
            steps = recreate.all_down(old)
        elif deployments.strategy_of(deployment) == deployments.ROLLING_UPDATE:
            steps = rolling.proportional(deployment, everything)
        everything = await self._resize(deployment, steps, everything)
        if deployments.is_paused(deployment):
            await self._forget_old(deployment, old)
        return await self._write_rollout(deployment, new, everything, plain=True)

    async def _roll(self, deployment: Object, sets: list[Object]) -> float | None:
        deployment, new, old = await self._prepare(deployment, sets, create=True)
        assert new is not None
        everything = [*old, new]
        step = rolling.step_new(deployment, new, everything)
        if step is not None:
            everything = await self._resize(deployment, [step], everything)
            return await self._write_rollout(deployment, _same(new, everything), everything)
        steps = rolling.step_old(deployment, new, old)
        if steps:
            everything = await self._resize(deployment, steps, everything)
            return await self._write_rollout(deployment, new, everything)
        return await self._finish(deployment, new, old)

    async def _roll_by_recreation(self, deployment: Object, sets: list[Object]) -> float | None:
        deployment, new, old = await self._prepare(deployment, sets, create=False)
        everything = [*old, new] if new is not None else old
        steps = recreate.all_down(old)
        if steps:
            everything = await self._resize(deployment, steps, everything)
            return await self._write_rollout(deployment, new, everything)
        uids = {uid_of(one) for one in everything}
        pods = [pod for pod in self.pods.list(namespace_of(deployment)) if _owner_uid(pod) in uids]
        if recreate.old_pods_running(new, old, pods):
            return await self._write_rollout(deployment, new, everything)
        if new is None:
            deployment, new, old = await self._prepare(deployment, sets, create=True)
            assert new is not None
            everything = [*old, new]
        step = rolling.step_new(deployment, new, everything)
        if step is not None:
            everything = await self._resize(deployment, [step], everything)
            return await self._write_rollout(deployment, _same(new, everything), everything)
        return await self._finish(deployment, new, old)

    async def _finish(self, deployment: Object, new: Object, old: list[Object]) -> float | None:
        if deployments.is_complete(deployment, status_of(deployment)):
            await self._forget_old(deployment, old)
        return await self._write_rollout(deployment, new, [*old, new])

    # ---- the new ReplicaSet and the revision

    async def _prepare(
        self, deployment: Object, sets: list[Object], *, create: bool
    ) -> tuple[Object, Object | None, list[Object]]:
        """The Deployment with its revision brought up to date, its new ReplicaSet, and the old ones."""
        new, old = split_sets(deployment, sets)
        revision = max((deployments.revision_of(one) for one in old), default=0) + 1
        if new is not None:
            new = await self._refresh_new(deployment, new, revision)
            text = f'Found new replica set "{name_of(new)}"'
            deployment = await self._note_new_set(deployment, new, "FoundNewReplicaSet", text)
            return deployment, new, old
        if not create:
            return deployment, None, old
        return *await self._make_new(deployment, old, revision), old

    async def _refresh_new(self, deployment: Object, new: Object, revision: int) -> Object:
        changed = copy(new)
        updated = annotate_set(deployment, changed, revision, exists=True)
        wanted = deployments.min_ready_seconds_of(deployment)
        if not updated and replica_sets.min_ready_seconds_of(new) == wanted:
            return new
        changed["spec"]["minReadySeconds"] = wanted
        return await self.set_client.update(changed)

    async def _make_new(self, deployment: Object, old: list[Object], revision: int) -> tuple[Object, Object]:
        wanted = new_set(deployment)
        size = rolling.size_of_new(deployment, [*old, wanted], 0)
        wanted["spec"]["replicas"] = size
        annotate_set(deployment, wanted, revision, exists=False)
        try:
            created = await self.set_client.create(wanted)
        except errors.AlreadyExists:
            return await self._meet_namesake(deployment, wanted)
        except errors.StatusError as error:
            await self._report_failure(deployment, wanted, error)
            raise
        if size > 0:
            self._say_resized(deployment, created, 0, size)
        text = f'Created new replica set "{name_of(created)}"'
        return await self._note_new_set(
            deployment, created, "NewReplicaSetCreated", text, fresh=True
        ), created

    async def _meet_namesake(self, deployment: Object, wanted: Object) -> tuple[Object, Object]:
        """The name is taken: by ourselves a moment ago, or by other content with the same hash."""
        existing = await self.set_client.get(name_of(wanted), namespace_of(deployment))
        same = same_template(deployments.template_of(deployment), replica_sets.template_of(existing))
        if same and owners.is_controlled_by(existing, deployment):
            text = f'Found new replica set "{name_of(existing)}"'
            return await self._note_new_set(deployment, existing, "FoundNewReplicaSet", text), existing
        changed = copy(status_of(deployment))
        changed["collisionCount"] = (changed.get("collisionCount") or 0) + 1
        await self._write_status(deployment, changed)
        raise errors.AlreadyExists(f'replicasets.apps "{name_of(wanted)}" already exists')

    async def _note_new_set(
        self, deployment: Object, new: Object, reason: str, text: str, *, fresh: bool = False
    ) -> Object:
        """Write the revision and, where there is a deadline, the first note of progress."""
        changed = copy(deployment)
        annotations = dict(annotations_of(changed))
        annotations[deployments.REVISION] = annotations_of(new)[deployments.REVISION]
        metadata_of(changed)["annotations"] = annotations
        new_status = changed.setdefault("status", {})
        known = conditions.find(new_status.get("conditions"), status.PROGRESSING)
        if deployments.progress_deadline_of(deployment) is not None and (fresh or known is None):
            status.set_condition(new_status, status.PROGRESSING, "True", reason, text, self.clock.now())
        if changed == deployment or (
            annotations == annotations_of(deployment) and new_status == status_of(deployment)
        ):
            return deployment
        return await self.deployment_client.update_status(changed)

    async def _report_failure(self, deployment: Object, wanted: Object, error: errors.StatusError) -> None:
        if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
            return
        text = f'Failed to create new replica set "{name_of(wanted)}": {error}'
        if deployments.progress_deadline_of(deployment) is not None:
            changed = copy(status_of(deployment))
            status.set_condition(
                changed, status.PROGRESSING, "False", "ReplicaSetCreateError", text, self.clock.now()
            )
            if changed != status_of(deployment):
                await self._write_status(deployment, changed)
        self.events.event(deployment, "Warning", "ReplicaSetCreateError", text)

    # ---- effects

    async def _resize(self, deployment: Object, steps: Sequence[Resize], sets: list[Object]) -> list[Object]:
        """Carry out a plan; the sets, with those that changed as the API server returned them."""
        fresh = {uid_of(one): one for one in sets}
        for step in steps:
            before = replica_sets.replicas_of(step.replica_set)
            changed = copy(step.replica_set)
            changed["spec"]["replicas"] = step.replicas
            size_annotations(deployment, changed)
            if changed == step.replica_set:
                continue
            fresh[uid_of(changed)] = await self.set_client.update(changed)
            if before != step.replicas:
                self._say_resized(deployment, changed, before, step.replicas)
        return list(fresh.values())

    def _say_resized(self, deployment: Object, replica_set: Object, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        text = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {after}"
        self.events.event(deployment, "Normal", "ScalingReplicaSet", text)

    async def _forget_old(self, deployment: Object, old: list[Object]) -> None:
        alive = [one for one in old if not is_deleting(one)]
        surplus = len(alive) - deployments.revision_history_limit_of(deployment)
        for one in sorted(alive, key=deployments.revision_of)[: max(0, surplus)]:
            observed = status_of(one).get("observedGeneration") or 0
            if (
                rolling.total_replicas([one])
                or status_of(one).get("replicas")
                or generation_of(one) > observed
            ):
                continue
            try:
                await self.set_client.delete(name_of(one), namespace_of(one))
            except errors.NotFound:
                continue

    async def _write_rollout(
        self, deployment: Object, new: Object | None, sets: list[Object], *, plain: bool = False
    ) -> float | None:
        """Write the status; the answer is when to look again for an expired deadline."""
        now = self.clock.now()
        calculate = status.count if plain else status.rollout
        wanted = calculate(deployment, new, sets, now)
        if wanted != status_of(deployment):
            await self._write_status(deployment, wanted)
            return self._seconds_to_deadline(deployment, wanted)
        return self._seconds_to_deadline(deployment, wanted)

    def _seconds_to_deadline(self, deployment: Object, wanted: Object) -> float | None:
        if deployments.is_complete(deployment, wanted) or deployments.is_paused(deployment):
            return None
        moment, failed = deployments.progress_timeout(deployment, wanted)
        if moment is None or failed:
            return None
        return max(0.0, (moment + timedelta(seconds=1) - self.clock.now()).total_seconds())

    async def _write_status(self, deployment: Object, wanted: Object) -> Object:
        changed = copy(deployment)
        changed["status"] = wanted
        return await self.deployment_client.update_status(changed)

    async def _refuse_to_select_all(self, deployment: Object) -> None:
        text = "This deployment is selecting all pods. A non-empty selector is required."
        self.events.event(deployment, "Warning", "SelectingAll", text)
        current = status_of(deployment)
        if (current.get("observedGeneration") or 0) < generation_of(deployment):
            await self._write_status(deployment, {**current, "observedGeneration": generation_of(deployment)})


def split_sets(deployment: Object, sets: Iterable[Object]) -> tuple[Object | None, list[Object]]:
    """The ReplicaSet with the present template (the oldest, should there be several), and all others."""
    ordered = rolling.oldest_first(list(sets))
    template = deployments.template_of(deployment)
    new = next((one for one in ordered if same_template(template, replica_sets.template_of(one))), None)
    return new, [one for one in ordered if one is not new]


def new_set(deployment: Object) -> Object:
    """A ReplicaSet for the present template, without a size."""
    template = copy(deployments.template_of(deployment))
    digest = template_hash(template, status_of(deployment).get("collisionCount"))
    metadata = metadata_of(template)
    metadata["labels"] = {**labels_of(template), POD_TEMPLATE_HASH: digest}
    selector = copy(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: digest}
    spec: Object = {"replicas": 0, "selector": selector, "template": template}
    if deployments.min_ready_seconds_of(deployment):
        spec["minReadySeconds"] = deployments.min_ready_seconds_of(deployment)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)[: LONGEST_NAME - len(digest) - 1]}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": dict(metadata["labels"]),
            "ownerReferences": [
                owners.owner_reference_to(deployment, api_version="apps/v1", kind="Deployment")
            ],
        },
        "spec": spec,
    }


def annotate_set(deployment: Object, replica_set: Object, revision: int, *, exists: bool) -> bool:
    """Copy the Deployment's annotations, write the revision and its history. True if anything changed."""
    before = dict(annotations_of(replica_set))
    after = dict(before)
    inherited = annotations_of(deployment).items()
    after |= {key: value for key, value in inherited if key not in deployments.NOT_COPIED}
    old_revision = deployments.revision_of(replica_set)
    if old_revision < revision:
        if exists and before.get(deployments.REVISION):
            history = [
                *filter(None, before.get(deployments.REVISION_HISTORY, "").split(",")),
                str(old_revision),
            ]
            while len(",".join(history)) > HISTORY_LENGTH:
                history.pop(0)
            after[deployments.REVISION_HISTORY] = ",".join(history)
        after[deployments.REVISION] = str(revision)
    metadata_of(replica_set)["annotations"] = after
    if not exists:
        size_annotations(deployment, replica_set)
        return True
    return after != before


def size_annotations(deployment: Object, replica_set: Object) -> None:
    """Write down for which size of the Deployment this ReplicaSet was sized."""
    wanted = deployments.replicas_of(deployment)
    metadata_of(replica_set)["annotations"] = {
        **annotations_of(replica_set),
        deployments.DESIRED_REPLICAS: str(wanted),
        deployments.MAX_REPLICAS: str(wanted + deployments.max_surge(deployment)),
    }


def _same(one: Object, among: Sequence[Object]) -> Object:
    return next(other for other in among if uid_of(other) == uid_of(one))


def _owner_uid(pod: Object) -> str:
    found: str = (owners.controller_of(pod) or {}).get("uid") or ""
    return found
