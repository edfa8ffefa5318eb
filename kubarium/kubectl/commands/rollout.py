"""`kubectl rollout`: status, history, undo, restart, pause, resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from kubarium.apimachinery import owners
from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.component_base.options import parse_duration
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import last_applied, picking
from kubarium.kubectl.commandline import group
from kubarium.kubectl.describers import containers
from kubarium.kubectl.describers.page import Page
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import columns
from kubarium.kubectl.session import CommandFailed, Session, misused, say, warn, with_session

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
KINDS = ("Deployment", "DaemonSet", "StatefulSet")
APPLIED = (
    "Warning: resource {} was previously managed with 'kubectl apply'. Rolling back will not update the "
    f"{last_applied.ANNOTATION} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. "
    "Consider using 'kubectl apply' with your previous configuration file instead."
)
HASH_LABEL = "pod-template-hash"


@group()
def rollout() -> None:
    """Manage the rollout of a resource."""


@rollout.command()
@click.argument("words", nargs=-1)
@picking.options
@click.option("-w", "--watch/--no-watch", default=True, help="Wait until it is finished.")
@click.option("--timeout", default="0s", help="How long to wait.")
@with_session
async def status(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Show the status of the rollout."""
    limit = float(parse_duration(flags["timeout"]))
    deadline = time.monotonic() + limit if limit else None
    for kind, obj in await _picked(session, words, flags):
        last = ""
        while True:
            text, done = progress({"kind": kind.kind, **obj})
            if text != last:
                say(text)
                last = text
            if done or not flags["watch"]:
                break
            if deadline is not None and time.monotonic() > deadline:
                raise CommandFailed("timed out waiting for the condition")
            await asyncio.sleep(0.2)
            obj = await session.resource(kind).get(name_of(obj), namespace_of(obj))


async def _picked(session: Session, words: Sequence[str], flags: Any) -> list[picking.Picked]:
    if not words and not flags.get("files"):
        raise misused("required resource not specified")
    return await picking.pick(session, words, flags, all_without_name=True)


def progress(obj: Object) -> tuple[str, bool]:
    """kubectl's words for how far a rollout is, and whether it is finished."""
    kind = obj["kind"]
    if kind not in KINDS:
        raise CommandFailed(f"no status viewer has been implemented for {kind}")
    name, spec, state = name_of(obj), obj["spec"], obj.get("status") or {}
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise CommandFailed("rollout status is only available for RollingUpdate strategy type")
    if (obj["metadata"].get("generation") or 0) > (state.get("observedGeneration") or 0):
        return f"Waiting for {_phrase(kind)} spec update to be observed...", False
    if kind == "DaemonSet":
        return _daemon_set(name, state)
    replicas, updated = spec.get("replicas", 1), state.get("updatedReplicas") or 0
    available, total = state.get("availableReplicas") or 0, state.get("replicas") or 0
    if kind == "StatefulSet":
        return _stateful_set(replicas, spec, state)
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


def _stateful_set(replicas: int, spec: Object, state: Object) -> tuple[str, bool]:
    ready, updated = state.get("readyReplicas") or 0, state.get("updatedReplicas") or 0
    if ready < replicas:
        return f"Waiting for {replicas - ready} pods to be ready...", False
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate")
    if rolling is not None:
        wanted = replicas - (rolling.get("partition") or 0)
        if updated < wanted:
            waiting = "Waiting for partitioned roll out to finish: "
            return f"{waiting}{updated} out of {wanted} new pods have been updated...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
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


def with_flags(function: Any) -> Any:
    """Which objects, and how their change is told."""
    for option in (click.argument("words", nargs=-1), picking.options, dry.option):
        function = option(function)
    return function


@rollout.command()
@with_flags
@with_session
async def restart(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Restart a resource."""
    moment = api_time.format_time(datetime.now(UTC))
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: moment}}}}}
    for kind, obj in await _picked(session, words, flags):
        if kind.kind not in KINDS:
            raise CommandFailed(f'{_plural(kind)} "{name_of(obj)}" restarting is not supported')
        if obj["spec"].get("paused"):
            raise CommandFailed(
                f'{_plural(kind)} "{name_of(obj)}" can\'t restart paused deployment (run rollout resume first)'
            )
        await _patch(session, (kind, obj), body, "restarted", flags["dry_run"])


@rollout.command()
@with_flags
@with_session
async def pause(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Mark the provided resource as paused."""
    await _set_paused(session, words, True, flags)


@rollout.command()
@with_flags
@with_session
async def resume(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Resume a paused resource."""
    await _set_paused(session, words, False, flags)


@rollout.command()
@click.argument("words", nargs=-1)
@picking.options
@click.option("--revision", default=0, type=int, help="Show the pods of one revision.")
@with_session
async def history(session: Session, words: tuple[str, ...], revision: int, **flags: Any) -> None:
    """View rollout history."""
    for kind, obj in await _picked(session, words, flags):
        known = await _revisions(session, kind, obj)
        full = kind.full_name(name_of(obj))
        if revision:
            if revision not in known:
                raise CommandFailed("unable to find the specified revision")
            say(f"{full} with revision #{revision}\n{template_text(revision_template(known[revision]))}")
            continue
        causes = {number: _annotations(each).get(CHANGE_CAUSE, "<none>") for number, each in known.items()}
        rows = [[str(number), causes[number]] for number in sorted(causes)]
        say(f"{full} \n{columns(['REVISION', 'CHANGE-CAUSE'], rows, gap=2)}\n")


@rollout.command()
@with_flags
@click.option(
    "--to-revision", default=0, type=int, help="Back to this one; if not given, to the last but one."
)
@with_session
async def undo(session: Session, words: tuple[str, ...], to_revision: int, **flags: Any) -> None:
    """Undo a previous rollout."""
    for kind, obj in await _picked(session, words, flags):
        if last_applied.remembered(obj) is not None:
            warn(APPLIED.format(f"{kind.plural}/{name_of(obj)}"))
        if obj["spec"].get("paused"):
            raise CommandFailed(
                "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
            )
        template = _wanted(kind, name_of(obj), await _revisions(session, kind, obj), to_revision)
        done = template_text(template) if flags["dry_run"] == "client" else "rolled back"
        body = {"spec": {"template": {**template, "$patch": "replace"}}}
        await _patch(session, (kind, obj), body, done, flags["dry_run"], form="strategic")


def _wanted(kind: Kind, name: str, known: dict[int, Object], number: int) -> Object:
    """The pods of a revision, or of the last but one. Raises CommandFailed."""
    if number and number not in known:
        raise CommandFailed(f"unable to find specified revision {number} in history")
    if not number and len(known) < 2:
        if kind.kind == "Deployment":
            raise CommandFailed(f'no rollout history found for deployment "{name}"')
        raise CommandFailed("no last revision to roll back to")
    template: Object = template_of(known[number or sorted(known)[-2]])
    (template["metadata"].get("labels") or {}).pop(HASH_LABEL, None)
    return template


def template_of(made: Object) -> Object:
    """The pods of a replica set or of a controller revision."""
    spec = made["spec"] if "spec" in made else made["data"]["spec"]
    return {key: value for key, value in spec["template"].items() if key != "$patch"}


def revision_template(made: Object) -> Object:
    """The pods that a revision made, with the reason for it among their annotations."""
    template = template_of(made)
    cause = _annotations(made).get(CHANGE_CAUSE)
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


async def _patch(
    session: Session, picked: picking.Picked, body: Object, done: str, dry_run: str, form: Any = "merge"
) -> None:
    where, target = picking.target_of(session, picked)
    await dry.patch(where, target, body, dry_run, type=form, field_manager="kubectl-rollout")
    say(f"{target.kind.full_name(target.name)} {dry.told(done, dry_run)}")


async def _set_paused(session: Session, words: tuple[str, ...], paused: bool, flags: Any) -> None:
    for kind, obj in await _picked(session, words, flags):
        word = "paused" if paused else "resumed"
        if kind.kind != "Deployment":
            raise CommandFailed(
                f'{_plural(kind)} "{name_of(obj)}" {word[:-1].removesuffix("e")}ing is not supported'
            )
        if bool(obj["spec"].get("paused")) == paused:
            state = "already" if paused else "not"
            raise CommandFailed(f'{_plural(kind)} "{name_of(obj)}" is {state} paused')
        await _patch(session, (kind, obj), {"spec": {"paused": paused}}, word, flags["dry_run"])


def _plural(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


async def _revisions(session: Session, kind: Kind, owner: Object) -> dict[int, Object]:
    """Revision -> what made its pods: a ReplicaSet of a deployment, a ControllerRevision of the others."""
    if kind.kind not in KINDS:
        raise CommandFailed(f"no history viewer has been implemented for {kind.kind!r}".replace("'", '"'))
    plural = "replicasets" if kind.kind == "Deployment" else "controllerrevisions"
    listed = await session.client.resource("apps/v1", plural).list(namespace_of(owner))
    own = [each for each in listed["items"] if _is_owned(each, owner)]
    if plural == "controllerrevisions":
        return {int(each["revision"]): each for each in own}
    return {int(_annotations(each)[REVISION]): each for each in own if REVISION in _annotations(each)}


def _is_owned(obj: Object, owner: Object) -> bool:
    controller = owners.controller_of(obj)
    return controller is not None and bool(controller["uid"] == owner["metadata"]["uid"])


def _annotations(obj: Object) -> dict[str, Any]:
    return obj["metadata"].get("annotations") or {}


def _phrase(kind: str) -> str:
    return {"DaemonSet": "daemon set", "StatefulSet": "statefulset"}.get(kind, kind.lower())
