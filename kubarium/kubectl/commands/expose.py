"""`kubectl expose`: a service for what has pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl import picking
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.create import make, with_output
from kubarium.kubectl.names import Kind
from kubarium.kubectl.pod_templates import pod_spec
from kubarium.kubectl.session import CommandFailed, Session, with_session

EXPOSED = ("Deployment", "Pod", "ReplicaSet", "ReplicationController", "Service")


@command()
@click.argument("words", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True)
@click.option(
    "--port", default=None, type=int, help="The port of the service; if not given, that of the pods."
)
@click.option("--target-port", default="", help="The port of the pods, by number or name.")
@click.option("--name", default="", help="The name of the service.")
@click.option("--type", "service_type", default="", help="ClusterIP, NodePort, LoadBalancer or ExternalName.")
@click.option("--protocol", default="", help="TCP, UDP or SCTP.")
@click.option("--selector", default="", help="Other labels than those of the object.")
@click.option("-l", "--labels", default="", help="The labels of the service.")
@click.option("--external-ip", default="")
@click.option("--load-balancer-ip", default="")
@click.option("--cluster-ip", default=None, help="None for a headless service.")
@click.option("--session-affinity", default="", help="None or ClientIP.")
@with_output
@with_session
async def expose(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service."""
    if not words and not flags["files"]:
        raise CommandFailed(picking.NO_RESOURCE)
    for kind, obj in await picking.pick(session, words, flags):
        if kind.kind not in EXPOSED:
            raise CommandFailed(f"cannot expose a {kind.kind}{f'.{kind.group}' if kind.group else ''}")
        made = service_of({"kind": kind.kind, **obj}, kind, flags)
        await make(session, made, flags["dry_run"], flags["output"], "exposed", "kubectl-expose")


def service_of(obj: Object, kind: Kind, flags: Mapping[str, Any]) -> Object:
    """The service for an object. Raises CommandFailed when it does not tell which pods, or at which port."""
    selector = _pairs(flags["selector"]) or _selector(obj, kind)
    made = service_for(flags["name"] or name_of(obj), selector, 0)
    if labels := _pairs(flags["labels"]) or obj["metadata"].get("labels"):
        made["metadata"]["labels"] = labels
    ports = [flags["port"]] if flags["port"] else _ports(obj)
    if not ports and flags["cluster_ip"] != "None":
        raise CommandFailed("couldn't find port via --port flag or introspection")
    made["spec"]["ports"] = [
        ({"name": f"port-{number}"} if len(ports) > 1 else {})
        | {
            "port": port,
            "protocol": flags["protocol"] or _protocol(obj, port),
            "targetPort": _number(flags["target_port"]) if flags["target_port"] else port,
        }
        for number, port in enumerate(ports, 1)
    ]
    for field, value in (
        ("type", flags["service_type"]),
        ("externalIPs", [flags["external_ip"]] if flags["external_ip"] else None),
        ("loadBalancerIP", flags["load_balancer_ip"]),
        ("sessionAffinity", flags["session_affinity"]),
        ("clusterIP", flags["cluster_ip"]),
    ):
        if value:
            made["spec"][field] = value
    return made


def service_for(name: str, selector: Mapping[str, str], port: int) -> Object:
    """A service in a few words."""
    spec: Object = {"selector": dict(selector)}
    if port:
        spec["ports"] = [{"port": port, "protocol": "TCP", "targetPort": port}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _selector(obj: Object, kind: Kind) -> Mapping[str, str]:
    if kind.kind == "Pod":
        found = obj["metadata"].get("labels")
        if not found:
            raise CommandFailed(
                "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be "
                "exposed"
            )
        return dict(found)
    selector = (obj.get("spec") or {}).get("selector") or {}
    if selector.get("matchExpressions"):
        raise CommandFailed(
            "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - "
            f'"{selector["matchExpressions"]}" to map-based selector format'
        )
    found = selector.get("matchLabels", selector)
    if not found:
        raise CommandFailed("couldn't retrieve selectors via --selector flag or introspection")
    return dict(found)


def _ports(obj: Object) -> list[int]:
    if obj["kind"] == "Service":
        return [each["port"] for each in obj["spec"].get("ports") or []]
    return [each["containerPort"] for each in _container_ports(obj)]


def _container_ports(obj: Object) -> list[Object]:
    spec = pod_spec(obj) or {}
    return [port for each in spec.get("containers") or [] for port in each.get("ports") or []]


def _protocol(obj: Object, port: int) -> str:
    ports = obj["spec"].get("ports") or [] if obj["kind"] == "Service" else _container_ports(obj)
    found = (each.get("protocol") for each in ports if port in (each.get("port"), each.get("containerPort")))
    return next(found, None) or "TCP"


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _pairs(text: str) -> dict[str, str]:
    return dict(each.split("=", 1) for each in text.split(",") if "=" in each)
