"""`kubectl cluster-info dump`: all that helps to find out what is wrong, in files or on the output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.server import cluster_info
from kubarium.kubectl.printers import document
from kubarium.kubectl.session import Session, say, with_session

KINDS = (
    ("v1", "events"),
    ("v1", "replicationcontrollers"),
    ("v1", "services"),
    ("apps/v1", "daemonsets"),
    ("apps/v1", "deployments"),
    ("apps/v1", "replicasets"),
    ("v1", "pods"),
)
FILES = {"replicationcontrollers": "replication-controllers"}


@command()
@click.option("--output-directory", default="-", help="Where the files go; - means standard output.")
@click.option("--namespaces", multiple=True, help="What to look into.")
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-o", "--output", default="json", type=click.Choice(["json", "yaml"]))
@with_session
async def dump(
    session: Session,
    output_directory: str,
    namespaces: Sequence[str],
    all_namespaces: bool,
    output: str,
) -> None:
    """Dump relevant information for debugging and diagnosis."""
    folder = None if output_directory in ("-", "") else Path(output_directory)

    def put(name: str, text: str) -> None:
        if folder is None:
            sys.stdout.write(text)
            return
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    async def listed(api_version: str, plural: str, namespace: str, file: str) -> list[Object]:
        found = await session.client.resource(api_version, plural).list(namespace)
        put(f"{file}.{output}", document(found, output) + "\n")
        items: list[Object] = found["items"]
        return items

    where = [name for words in namespaces for name in words.split(",")] or ["kube-system", session.namespace]
    if all_namespaces:
        where = [
            name_of(each) for each in (await session.client.resource("v1", "namespaces").list())["items"]
        ]
    await listed("v1", "nodes", "", "nodes")
    for namespace in dict.fromkeys(where):
        for api_version, plural in KINDS:
            items = await listed(api_version, plural, namespace, f"{namespace}/{FILES.get(plural, plural)}")
        for pod in items:
            text = "".join([await _log(session, pod, each["name"]) for each in pod["spec"]["containers"]])
            put(f"{namespace}/{name_of(pod)}/logs.txt", text)
    if folder is not None:
        say(f"Cluster info dumped to {output_directory}")


async def _log(session: Session, pod: Object, container: str) -> str:
    about = f"logs for container {container} of pod {pod['metadata']['namespace']}/{name_of(pod)} ===="
    path = session.client.resource("v1", "pods").path(pod["metadata"]["namespace"], name_of(pod), "log")
    try:
        answer = await session.client.fetch("GET", path, query={"container": container})
        text = answer.content.decode(errors="replace")
    except StatusError as error:
        text = f"{error.message}\n"
    return f"==== START {about}\n{text}==== END {about}\n"


cluster_info.add_command(dump)
