"""`kubectl scale`, through the scale subresource, so that it works for every kind that has one; and `autoscale`."""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import picking
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.create import make, with_output
from kubarium.kubectl.session import CommandFailed, Session, say, with_session


@command()
@click.option("--replicas", type=int, required=True, help="How many there are to be.")
@click.argument("words", nargs=-1)
@picking.options
@click.option("--current-replicas", type=int, default=-1, help="Only if there are so many now.")
@dry.option
@with_session
async def scale(
    session: Session, words: tuple[str, ...], replicas: int, current_replicas: int, **flags: Any
) -> None:
    """Set a new size for a deployment, replica set, or replication controller."""
    if replicas < 0:
        raise CommandFailed(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"
        )
    for picked in await picking.pick(session, words, flags):
        where, target = picking.target_of(session, picked)
        if current_replicas >= 0:
            resource = where.resource(target.kind)
            scale_of = await resource.get(target.name, where.where(target.kind), subresource="scale")
            present = scale_of["spec"].get("replicas", 0)
            if present != current_replicas:
                raise CommandFailed(f"Expected replicas to be {current_replicas}, was {present}")
        await dry.patch(
            where, target, {"spec": {"replicas": replicas}}, flags["dry_run"], subresource="scale"
        )
        say(f"{target.kind.full_name(target.name)} {dry.told('scaled', flags['dry_run'])}")


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("--min", "least", default=-1)
@click.option("--max", "most", type=click.IntRange(min=1), required=True)
@click.option("--cpu", default="")
@click.option("--memory", default="")
@click.option("--cpu-percent", default=-1, help="Deprecated: --cpu")
@click.option("--name", default="")
@with_output
@with_session
async def autoscale(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Auto-scale a deployment, replica set, stateful set, or replication controller."""
    for target in await session.names.targets(words):
        if not target.name:
            raise CommandFailed("resource(s) were provided, but no name was specified")
        if "scale" not in target.kind.subresources:
            raise CommandFailed(
                f"cannot autoscale a {target.kind.kind}: the server has no scale subresource for it"
            )
        cpu = flags["cpu"] or (f"{flags['cpu_percent']}%" if flags["cpu_percent"] >= 0 else "")
        metrics = [metric(name, text) for name, text in (("cpu", cpu), ("memory", flags["memory"])) if text]
        spec = {
            "scaleTargetRef": {
                "apiVersion": target.kind.api_version,
                "kind": target.kind.kind,
                "name": target.name,
            },
            "maxReplicas": flags["most"],
        }
        spec |= {"minReplicas": flags["least"]} if flags["least"] >= 0 else {}
        spec |= {"metrics": metrics} if metrics else {}
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": flags["name"] or target.name},
            "spec": spec,
        }
        await make(session, scaler, flags["dry_run"], flags["output"], "autoscaled")


def metric(resource: str, target: str) -> Object:
    """`80%` of what is requested, or an average amount a pod: `500m`."""
    if target.endswith("%"):
        aim: Object = {"type": "Utilization", "averageUtilization": int(target[:-1])}
    else:
        aim = {"type": "AverageValue", "averageValue": target}
    return {"type": "Resource", "resource": {"name": resource, "target": aim}}
