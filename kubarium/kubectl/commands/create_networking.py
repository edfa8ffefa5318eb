"""`kubectl create service` and `create ingress`: ways to pods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.commands.create import create, make, with_output
from kubarium.kubectl.session import CommandFailed, Session, with_session


@create.group()
def service() -> None:
    """Create a service."""


def with_ports(command: Any) -> Any:
    """`--tcp 80:8080`, any number of them."""
    return click.option("--tcp", multiple=True)(with_output(command))


@service.command()
@click.argument("name")
@click.option("--clusterip", default="")
@with_ports
@with_session
async def clusterip(
    session: Session, name: str, clusterip: str, tcp: Sequence[str], dry_run: str, output: str
) -> None:
    """Create a ClusterIP service."""
    if not tcp and clusterip != "None":
        raise CommandFailed("at least one tcp port specifier must be provided")
    more = {"clusterIP": clusterip} if clusterip else {}
    await make(session, service_of(name, "ClusterIP", tcp, **more), dry_run, output)


@service.command()
@click.argument("name")
@click.option("--node-port", default=0)
@with_ports
@with_session
async def nodeport(
    session: Session, name: str, node_port: int, tcp: Sequence[str], dry_run: str, output: str
) -> None:
    """Create a NodePort service."""
    made = service_of(name, "NodePort", tcp)
    if node_port:
        made["spec"]["ports"][0]["nodePort"] = node_port
    await make(session, made, dry_run, output)


@service.command()
@click.argument("name")
@with_ports
@with_session
async def loadbalancer(session: Session, name: str, tcp: Sequence[str], dry_run: str, output: str) -> None:
    """Create a LoadBalancer service."""
    await make(session, service_of(name, "LoadBalancer", tcp), dry_run, output)


@service.command()
@click.argument("name")
@click.option("--external-name", required=True)
@with_ports
@with_session
async def externalname(
    session: Session, name: str, external_name: str, tcp: Sequence[str], dry_run: str, output: str
) -> None:
    """Create an ExternalName service."""
    made = service_of(name, "ExternalName", tcp, externalName=external_name)
    await make(session, made, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--rule", "rules", multiple=True)
@click.option("--class", "ingress_class", default="")
@click.option("--default-backend", default="")
@click.option("--annotation", "annotations", multiple=True)
@with_output
@with_session
async def ingress(
    session: Session,
    name: str,
    rules: Sequence[str],
    ingress_class: str,
    default_backend: str,
    annotations: Sequence[str],
    dry_run: str,
    output: str,
) -> None:
    """Create an ingress: `--rule="foo.example/path*=service:80,tls=secret"`."""
    if not rules and not default_backend:
        raise CommandFailed(
            "not enough information provided: every ingress has to either specify a "
            "default-backend (which catches all traffic) or a list of rules (which catch specific paths)"
        )
    spec: Object = {"ingressClassName": ingress_class} if ingress_class else {}
    spec |= {"defaultBackend": _backend(default_backend)} if default_backend else {}
    found, tls = read_rules(rules)
    spec |= {"rules": found} if found else {}
    spec |= {"tls": tls} if tls else {}
    notes = {"annotations": dict(each.split("=", 1) for each in annotations)} if annotations else {}
    made = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, **notes},
        "spec": spec,
    }
    await make(session, made, dry_run, output)


def service_of(name: str, kind: str, tcp: Sequence[str], **more: Any) -> Object:
    """A Service for the pods with the label `app: NAME`."""
    labels = {"app": name}
    spec = {"type": kind, "selector": labels, **more} | (
        {"ports": [_port(text) for text in tcp]} if tcp else {}
    )
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec}


def read_rules(words: Sequence[str]) -> tuple[list[Object], list[Object]]:
    """`host/path=service:port[,tls[=secret]]` -> the rules by host, and TLS. A star stands for all that is below."""
    paths: dict[str, list[Object]] = {}
    secrets: dict[str, list[str]] = {}
    for word in words:
        rule, *options = word.split(",")
        place, equals, backend = rule.partition("=")
        host, slash, path = place.partition("/")
        if not equals or not slash:
            raise CommandFailed(
                f"rule {word} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            )
        prefix = path.endswith("*")
        entry = {
            "path": "/" + path.removesuffix("*"),
            "pathType": "Prefix" if prefix else "Exact",
            "backend": _backend(backend),
        }
        paths.setdefault(host, []).append(entry)
        for option in options:
            key, _, secret = option.partition("=")
            if key == "tls":
                secrets.setdefault(secret, []).append(host)
    rules = [({"host": host} if host else {}) | {"http": {"paths": each}} for host, each in paths.items()]
    tls = [
        ({"hosts": sorted(filter(None, hosts))} if any(hosts) else {})
        | ({"secretName": secret} if secret else {})
        for secret, hosts in secrets.items()
    ]
    return rules, tls


def _backend(text: str) -> Object:
    name, colon, port = text.partition(":")
    if not colon:
        raise CommandFailed(f"backend {text} is invalid and should be in format svcname:svcport")
    return {"service": {"name": name, "port": {"number": int(port)} if port.isdigit() else {"name": port}}}


def _port(text: str) -> Object:
    port, colon, target = text.partition(":")
    try:
        number = int(port)
    except ValueError as error:
        raise CommandFailed(f"invalid port: {text}") from error
    at = target if colon else port
    return {
        "name": text.replace(":", "-"),
        "port": number,
        "protocol": "TCP",
        "targetPort": int(at) if at.isdigit() else at,
    }
