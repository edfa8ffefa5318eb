"""Commands about the server: `cluster-info`, `version`, `api-resources`, `api-versions`."""

from __future__ import annotations

import click
import orjson
import yaml

from kubarium.apimachinery.object import name_of, namespace_of
from kubarium.kubectl.commandline import command, group
from kubarium.kubectl.printers import columns
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

CLIENT_VERSION = "v1.36.0+kubarium"


@group("cluster-info", invoke_without_command=True)
@click.pass_context
def cluster_info(context: click.Context, /) -> None:
    """Display cluster information."""
    if context.invoked_subcommand is None:
        context.invoke(addresses)


@command()
@with_session
async def addresses(session: Session) -> None:
    """Display addresses of the control plane and services."""
    server = session.client.config.server
    say(f"Kubernetes control plane is running at {server}")
    services = await session.client.resource("v1", "services").list(
        "kube-system", label_selector="kubernetes.io/cluster-service=true"
    )
    for service in services["items"]:
        labels = service["metadata"].get("labels") or {}
        title = labels.get("kubernetes.io/name", name_of(service))
        port = service["spec"]["ports"][0].get("name", "")
        path = f"/api/v1/namespaces/{namespace_of(service)}/services/{name_of(service)}:{port}/proxy"
        say(f"{title} is running at {server}{path}")
    say("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")


@command()
@click.option("--client", "client_only", is_flag=True)
@click.option("-o", "--output", default="", type=click.Choice(["", "json", "yaml"]))
@with_session
async def version(session: Session, client_only: bool, output: str) -> None:
    """Print the client and server version information."""
    found = {"clientVersion": {"gitVersion": CLIENT_VERSION, "major": "1", "minor": "36"}}
    if not client_only:
        found["serverVersion"] = await session.client.request("GET", "/version")
    if output == "json":
        say(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    elif output == "yaml":
        say(yaml.safe_dump(found).rstrip())
    else:
        say(f"Client Version: {CLIENT_VERSION}")
        if not client_only:
            say(f"Server Version: {found['serverVersion']['gitVersion']}")


SORTABLE = {"name": 0, "kind": 4}  # columns of the table


@command("api-resources")
@click.option("--api-group", default=None)
@click.option("--namespaced", default=None, type=bool)
@click.option("--verbs", default="")
@click.option("--no-headers", is_flag=True)
@click.option("-o", "--output", default="", type=click.Choice(["", "wide", "name"]))
@click.option("--sort-by", default="")
@click.option("--categories", default="")
@with_session
async def api_resources(
    session: Session,
    categories: str,
    api_group: str | None,
    namespaced: bool | None,
    verbs: str,
    no_headers: bool,
    output: str,
    sort_by: str,
) -> None:
    """Print the supported API resources on the server."""
    if sort_by and sort_by not in SORTABLE:
        raise CommandFailed("--sort-by accepts only name or kind")
    seen: dict[tuple[str, str], list[str]] = {}
    wanted, within = (set(filter(None, words.split(","))) for words in (verbs, categories))
    for kind in await session.names.kinds():
        if (kind.group, kind.plural) in seen or not kind.verbs or not wanted <= kind.verbs:
            continue
        if not within <= {*kind.categories}:
            continue
        if api_group is not None and kind.group != api_group:
            continue
        if namespaced is not None and kind.namespaced != namespaced:
            continue
        row = [
            kind.plural,
            ",".join(kind.short_names),
            kind.api_version,
            str(kind.namespaced).lower(),
            kind.kind,
        ]
        seen[(kind.group, kind.plural)] = [*row, ",".join(sorted(kind.verbs)), ",".join(kind.categories)]
    order = sorted(seen)
    if sort_by:
        order.sort(key=lambda key: seen[key][SORTABLE[sort_by]])
    if output == "name":
        for group, plural in order:
            say(f"{plural}.{group}" if group else plural)
        return
    heads = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"]
    count = 7 if output == "wide" else 5
    rows = [seen[key][:count] for key in order]
    say(columns(heads[:count], rows, not no_headers))


@command("api-versions")
@with_session
async def api_versions(session: Session) -> None:
    """Print the supported API versions on the server, in the form of "group/version"."""
    for name in sorted({kind.api_version for kind in await session.names.kinds()}):
        say(name)
