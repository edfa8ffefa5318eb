"""`kubectl scale`, through the scale subresource, so that it works for every kind that has one; and `autoscale`."""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.create import make, with_output
from kubarium.kubectl.session import CommandFailed, Session, say, with_session


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True)
@click.option("--current-replicas", type=int, default=-1)
@dry.option
@with_session
async def scale(
    session: Session, words: tuple[str, ...], replicas: int, current_replicas: int, dry_run: str
) -> None:
    """Set a new size for a deployment, replica set, or stateful set."""
    for target in await session.names.targets(words):
        if not target.name:
            raise CommandFailed("resource(s) were provided, but no name was specified")
        resource, where = session.resource(target.kind), session.where(target.kind)
        if current_replicas >= 0:
            present = (await resource.get(target.name, where, subresource="scale"))["spec"].get("replicas", 0)
            if present != current_replicas:
                raise CommandFailed(f"Expected replicas to be {current_replicas}, was {present}")
        await dry.patch(session, target, {"spec": {"replicas": replicas}}, dry_run, subresource="scale")
        say(f"{target.kind.full_name(target.name)} {dry.told('scaled', dry_run)}")


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
    """Let a deployment, replica set or stateful set be scaled by what its pods use."""
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
