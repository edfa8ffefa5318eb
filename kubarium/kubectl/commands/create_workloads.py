"""`kubectl create job`, `cronjob`, `quota`, `poddisruptionbudget`, `priorityclass`: work, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.apimachinery.owners import owner_reference_to
from kubarium.kubectl.commands.create import create, make, with_output
from kubarium.kubectl.session import CommandFailed, Session, with_session


@create.command()
@click.argument("name")
@click.option("--image", default="")
@click.option("--from", "source", default="")
@with_output
@click.argument("command", nargs=-1)
@with_session
async def job(
    session: Session,
    name: str,
    image: str,
    source: str,
    command: tuple[str, ...],
    dry_run: str,
    output: str,
) -> None:
    """Create a job, of its own or as a cron job would now."""
    if bool(image) == bool(source):
        raise CommandFailed("either --image or --from must be specified")
    made = _job(name, _template(name, image, command)) if image else await _of_cron_job(session, name, source)
    await make(session, made, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--image", required=True)
@click.option("--schedule", required=True)
@click.option("--restart", default="OnFailure")
@with_output
@click.argument("command", nargs=-1)
@with_session
async def cronjob(
    session: Session,
    name: str,
    image: str,
    schedule: str,
    restart: str,
    command: tuple[str, ...],
    dry_run: str,
    output: str,
) -> None:
    """Create a cron job."""
    template = _template(name, image, command, restart)
    job_template = {"metadata": {"name": name}, "spec": {"template": template}}
    made = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": job_template},
    }
    await make(session, made, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--hard", default="")
@click.option("--scopes", default="")
@with_output
@with_session
async def quota(session: Session, name: str, hard: str, scopes: str, dry_run: str, output: str) -> None:
    """Create a quota."""
    spec: Object = {"hard": _pairs(hard)} if hard else {}
    spec |= {"scopes": scopes.split(",")} if scopes else {}
    await make(session, _of("v1", "ResourceQuota", name) | {"spec": spec}, dry_run, output)


@create.command("poddisruptionbudget")
@click.argument("name")
@click.option("--selector", required=True)
@click.option("--min-available", default="")
@click.option("--max-unavailable", default="")
@with_output
@with_session
async def pod_disruption_budget(session: Session, name: str, **flags: Any) -> None:
    """Create a pod disruption budget."""
    if bool(flags["min_available"]) == bool(flags["max_unavailable"]):
        raise CommandFailed("one of min-available or max-unavailable must be specified")
    spec: Object = {"selector": {"matchLabels": _pairs(flags["selector"])}}
    for field, text in (
        ("minAvailable", flags["min_available"]),
        ("maxUnavailable", flags["max_unavailable"]),
    ):
        spec |= {field: int(text) if text.isdigit() else text} if text else {}
    made = _of("policy/v1", "PodDisruptionBudget", name) | {"spec": spec}
    await make(session, made, flags["dry_run"], flags["output"])


create.add_command(pod_disruption_budget, "pdb")


@create.command("priorityclass")
@click.argument("name")
@click.option("--value", default=0)
@click.option("--global-default", is_flag=True)
@click.option("--description", default="")
@click.option("--preemption-policy", default="PreemptLowerPriority")
@with_output
@with_session
async def priority_class(session: Session, name: str, **flags: Any) -> None:
    """Create a priority class."""
    made = _of("scheduling.k8s.io/v1", "PriorityClass", name) | {
        "value": flags["value"],
        "preemptionPolicy": flags["preemption_policy"],
    }
    made |= {"globalDefault": True} if flags["global_default"] else {}
    made |= {"description": flags["description"]} if flags["description"] else {}
    await make(session, made, flags["dry_run"], flags["output"])


create.add_command(priority_class, "pc")


async def _of_cron_job(session: Session, name: str, source: str) -> Object:
    target = (await session.names.targets([source]))[0]
    if target.kind.plural != "cronjobs":
        raise CommandFailed(f"from must be an existing cronjob: {source}")
    owner = await session.resource(target.kind).get(target.name, session.namespace)
    template = owner["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    made = _job(name, template["spec"].pop("template"), **template["spec"])
    made["metadata"] |= {
        "annotations": {**(metadata.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
        **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        "ownerReferences": [_owned_by(owner)],
    }
    return made


def _owned_by(owner: Object) -> Object:
    reference = owner_reference_to(owner)
    return {key: value for key, value in reference.items() if key != "blockOwnerDeletion"}


def _job(name: str, template: Object, **spec: Any) -> Object:
    return _of("batch/v1", "Job", name) | {"spec": {**spec, "template": template}}


def _template(name: str, image: str, command: Sequence[str], restart: str = "Never") -> Object:
    container: Object = {"name": name, "image": image} | ({"command": list(command)} if command else {})
    return {"spec": {"containers": [container], "restartPolicy": restart}}


def _of(api_version: str, kind: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b=2`. Raises CommandFailed."""
    pairs = [word.partition("=") for word in text.split(",") if word]
    if wrong := next((name for name, equals, _ in pairs if not equals), ""):
        raise CommandFailed(f"invalid argument format {wrong}, expected key=value")
    return {name.strip(): value.strip() for name, _, value in pairs}
