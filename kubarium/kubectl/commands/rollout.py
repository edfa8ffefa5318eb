"""`kubectl rollout`: status, history, undo, restart, pause, resume."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import click

from kubarium.apimachinery import owners
from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of
from kubarium.component_base.options import parse_duration
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.commandline import group
from kubarium.kubectl.describers import containers
from kubarium.kubectl.describers.page import Page
from kubarium.kubectl.names import Target
from kubarium.kubectl.printers import columns
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
HASH_LABEL = "pod-template-hash"


@group()
def rollout() -> None:
    """Manage the rollout of a resource."""


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@click.option("-w", "--watch/--no-watch", default=True)
@click.option("--timeout", default="0s")
@with_session
async def status(session: Session, words: tuple[str, ...], watch: bool, timeout: str) -> None:
    """Show the status of the rollout."""
    target = await _one(session, words)
    limit = float(parse_duration(timeout))
    deadline = time.monotonic() + limit if limit else None
    last = ""
    while True:
        obj = await session.resource(target.kind).get(target.name, session.namespace)
        text, done = progress(obj)
        if text != last:
            say(text)
            last = text
        if done or not watch:
            return
        if deadline is not None and time.monotonic() > deadline:
            raise CommandFailed("timed out waiting for the condition")
        await asyncio.sleep(0.2)


def progress(obj: Object) -> tuple[str, bool]:
    """kubectl's words for how far a rollout is, and whether it is finished."""
    name, spec, state = name_of(obj), obj["spec"], obj.get("status") or {}
    kind = obj["kind"]
    if (obj["metadata"].get("generation") or 0) > (state.get("observedGeneration") or 0):
        return f"Waiting for {_phrase(kind)} spec update to be observed...", False
    if kind == "DaemonSet":
        return _daemon_set(name, state)
    replicas, updated = spec.get("replicas", 1), state.get("updatedReplicas") or 0
    available, total = state.get("availableReplicas") or 0, state.get("replicas") or 0
    if kind == "StatefulSet":
        return _stateful_set(replicas, state)
    for condition in state.get("conditions") or []:
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise CommandFailed(f'deployment "{name}" exceeded its progress deadline')
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < replicas:
        return f"{waiting}{updated} out of {replicas} new replicas have been updated...", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _daemon_set(name: str, state: Object) -> tuple[str, bool]:
    desired, updated = state.get("desiredNumberScheduled") or 0, state.get("updatedNumberScheduled") or 0
    available = state.get("numberAvailable") or 0
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if updated < desired:
        return f"{waiting}{updated} out of {desired} new pods have been updated...", False
    if available < desired:
        return f"{waiting}{available} of {desired} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


def _stateful_set(replicas: int, state: Object) -> tuple[str, bool]:
    ready, updated = state.get("readyReplicas") or 0, state.get("updatedReplicas") or 0
    if ready < replicas:
        return f"Waiting for {replicas - ready} pods to be ready...", False
    if state.get("updateRevision") != state.get("currentRevision"):
        return (
            f"waiting for statefulset rolling update to complete {updated} pods "
            f"at revision {state.get('updateRevision')}...",
            False,
        )
    return (
        f"statefulset rolling update complete {state.get('currentReplicas') or 0} pods "
        f"at revision {state.get('currentRevision')}...",
        True,
    )


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@with_session
async def restart(session: Session, words: tuple[str, ...]) -> None:
    """Restart a resource: new pods with the same template."""
    for target in await session.names.targets(words):
        moment = api_time.format_time(datetime.now(UTC))
        patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: moment}}}}}
        await session.resource(target.kind).patch(target.name, patch, session.namespace)
        say(f"{target.kind.full_name(target.name)} restarted")


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@with_session
async def pause(session: Session, words: tuple[str, ...]) -> None:
    """Mark the resource as paused."""
    await _set_paused(session, words, True)


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@with_session
async def resume(session: Session, words: tuple[str, ...]) -> None:
    """Resume a paused resource."""
    await _set_paused(session, words, False)


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--revision", default=0, type=int)
@with_session
async def history(session: Session, words: tuple[str, ...], revision: int) -> None:
    """View rollout history."""
    target = await _one(session, words)
    sets = await _replica_sets(session, target)
    if revision:
        if revision not in sets:
            raise CommandFailed("unable to find the specified revision")
        shown = revision_template(sets[revision])
        say(f"{target.kind.full_name(target.name)} with revision #{revision}\n{template_text(shown)}")
        return
    say(target.kind.full_name(target.name))
    rows = [
        [str(number), _annotations(each).get(CHANGE_CAUSE, "<none>")] for number, each in sorted(sets.items())
    ]
    say(columns(["REVISION", "CHANGE-CAUSE"], rows))


@rollout.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--to-revision", default=0, type=int)
@dry.option
@with_session
async def undo(session: Session, words: tuple[str, ...], to_revision: int, dry_run: str) -> None:
    """Undo a previous rollout."""
    target = await _one(session, words)
    sets = await _replica_sets(session, target)
    if to_revision and to_revision not in sets:
        raise CommandFailed(f"unable to find specified revision {to_revision} in history")
    if not to_revision and len(sets) < 2:
        raise CommandFailed(f"no rollout history found for deployment {target.name!r}")
    template = sets[to_revision or sorted(sets)[-2]]["spec"]["template"]
    (template["metadata"].get("labels") or {}).pop(HASH_LABEL, None)
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    await dry.patch(session, target, patch, dry_run, type="json")
    done = template_text(template) if dry_run == "client" else "rolled back"
    say(f"{target.kind.full_name(target.name)} {dry.told(done, dry_run)}")


def revision_template(replica_set: Object) -> Object:
    """The pods that a revision made, with the reason for it among their annotations."""
    template: Object = replica_set["spec"]["template"]
    cause = _annotations(replica_set).get(CHANGE_CAUSE)
    if not cause:
        return template
    metadata = template["metadata"]
    annotations = {**(metadata.get("annotations") or {}), CHANGE_CAUSE: cause}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def template_text(template: Object) -> str:
    """A pod template as `describe` tells it, its tabs left as they are, as upstream does here."""
    page = Page()
    containers.pod_template(template, page)
    return page.raw() + "\n"


async def _one(session: Session, words: tuple[str, ...]) -> Target:
    target = (await session.names.targets(words))[0]
    if not target.name:
        raise CommandFailed("required resource not specified")
    return target


async def _set_paused(session: Session, words: tuple[str, ...], paused: bool) -> None:
    for target in await session.names.targets(words):
        await session.resource(target.kind).patch(
            target.name, {"spec": {"paused": paused}}, session.namespace
        )
        say(f"{target.kind.full_name(target.name)} {'paused' if paused else 'resumed'}")


async def _replica_sets(session: Session, target: Target) -> dict[int, Object]:
    """Revision -> ReplicaSet of a deployment."""
    owner = await session.resource(target.kind).get(target.name, session.namespace)
    listed = await session.client.resource("apps/v1", "replicasets").list(session.namespace)
    own = [each for each in listed["items"] if _is_owned(each, owner)]
    return {int(_annotations(each)[REVISION]): each for each in own if REVISION in _annotations(each)}


def _is_owned(obj: Object, owner: Object) -> bool:
    controller = owners.controller_of(obj)
    return controller is not None and bool(controller["uid"] == owner["metadata"]["uid"])


def _annotations(obj: Object) -> dict[str, Any]:
    return obj["metadata"].get("annotations") or {}


def _phrase(kind: str) -> str:
    return {"DaemonSet": "daemon set", "StatefulSet": "statefulset"}.get(kind, kind.lower())
