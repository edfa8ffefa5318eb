"""`kubectl create`, `run` and `expose`: new objects from files or from a few words.

More of its subcommands stand in `create_access.py`, `create_networking.py` and `create_workloads.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import manifests, printers
from kubarium.kubectl.commandline import Group, command, group
from kubarium.kubectl.commands.apply import place
from kubarium.kubectl.session import FIELD_MANAGER, CommandFailed, Session, say, with_session


def with_output(command: Any) -> Any:
    """`--dry-run`, `-o` and `--template`."""
    return dry.option(printers.with_output(command))


ALIASES = {
    "cj": "cronjob",
    "cm": "configmap",
    "deploy": "deployment",
    "ing": "ingress",
    "ns": "namespace",
    "pc": "priorityclass",
    "pdb": "poddisruptionbudget",
    "resourcequota": "quota",
    "sa": "serviceaccount",
    "svc": "service",
}


class Kinds(Group):
    """The kinds that can be made from a few words, by their long and short names."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, ALIASES.get(name, name))


@group(cls=Kinds, invoke_without_command=True)
@click.option("-f", "--filename", "files", multiple=True)
@with_output
@click.pass_context
def create(context: click.Context, files: tuple[str, ...], dry_run: str, output: str) -> None:
    """Create a resource from a file, from stdin, or from a few words."""
    if context.invoked_subcommand is None:
        if not files:
            raise CommandFailed("must specify one of -f and -k")
        context.invoke(_from_files, files=files, dry_run=dry_run, output=output)


@command()
@with_session
async def _from_files(session: Session, files: Sequence[str], dry_run: str, output: str) -> None:
    for obj in manifests.read(files):
        await make(session, obj, dry_run, output)


@create.command()
@click.argument("name")
@with_output
@with_session
async def namespace(session: Session, name: str, dry_run: str, output: str) -> None:
    """Create a namespace."""
    await make(
        session, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run, output
    )


@create.command()
@click.argument("name")
@click.option("--image", multiple=True, required=True)
@click.option("--replicas", default=1)
@click.option("--port", default=None, type=int)
@with_output
@click.argument("command", nargs=-1)
@with_session
async def deployment(
    session: Session,
    name: str,
    image: tuple[str, ...],
    replicas: int,
    port: int | None,
    command: tuple[str, ...],
    dry_run: str,
    output: str,
) -> None:
    """Create a deployment."""
    labels = {"app": name}
    containers = [_container(_image_name(each), each, command, port) for each in image]
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }
    await make(session, obj, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--from-literal", "literals", multiple=True)
@click.option("--from-file", "files", multiple=True)
@with_output
@with_session
async def configmap(
    session: Session, name: str, literals: tuple[str, ...], files: tuple[str, ...], dry_run: str, output: str
) -> None:
    """Create a config map."""
    data = {key: value.decode() for key, value in _data(literals, files).items()}
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    await make(session, obj, dry_run, output)


@create.group()
def secret() -> None:
    """Create a secret."""


@secret.command()
@click.argument("name")
@click.option("--type", "kind", default="Opaque")
@click.option("--from-literal", "literals", multiple=True)
@click.option("--from-file", "files", multiple=True)
@with_output
@with_session
async def generic(
    session: Session,
    name: str,
    kind: str,
    literals: tuple[str, ...],
    files: tuple[str, ...],
    dry_run: str,
    output: str,
) -> None:
    """Create a secret from literals or files."""
    data = {key: _encoded(value) for key, value in _data(literals, files).items()}
    await make(session, _secret(name, kind, data), dry_run, output)


@secret.command()
@click.argument("name")
@click.option("--cert", required=True)
@click.option("--key", required=True)
@with_output
@with_session
async def tls(session: Session, name: str, cert: str, key: str, dry_run: str, output: str) -> None:
    """Create a TLS secret from a key pair in two files."""
    data = {"tls.crt": _encoded(_bytes_of(cert)), "tls.key": _encoded(_bytes_of(key))}
    await make(session, _secret(name, "kubernetes.io/tls", data), dry_run, output)


@secret.command("docker-registry")
@click.argument("name")
@click.option("--docker-server", default="https://index.docker.io/v1/")
@click.option("--docker-username", default="")
@click.option("--docker-password", default="")
@click.option("--docker-email", default="")
@click.option("--from-file", "file", default="")
@with_output
@with_session
async def docker_registry(session: Session, name: str, dry_run: str, output: str, **login: str) -> None:
    """Create a secret for a registry of images."""
    content = _bytes_of(login["file"]) if login["file"] else docker_config(login)
    data = {".dockerconfigjson": _encoded(content)}
    await make(session, _secret(name, "kubernetes.io/dockerconfigjson", data), dry_run, output)


def docker_config(login: Mapping[str, str]) -> bytes:
    """What Docker keeps in its config.json. Raises CommandFailed."""
    user, password = login["docker_username"], login["docker_password"]
    if not user or not password:
        raise CommandFailed(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server "
            "is required"
        )
    entry = {"username": user, "password": password}
    entry |= {"email": login["docker_email"]} if login["docker_email"] else {}
    entry["auth"] = _encoded(f"{user}:{password}".encode())
    return orjson.dumps({"auths": {login["docker_server"]: entry}})


@create.command()
@click.argument("name")
@with_output
@with_session
async def serviceaccount(session: Session, name: str, dry_run: str, output: str) -> None:
    """Create a service account."""
    obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    await make(session, obj, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--duration", default=3600)
@with_session
async def token(session: Session, name: str, duration: int) -> None:
    """Request a service account token."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": duration},
    }
    accounts = session.client.resource("v1", "serviceaccounts")
    made = await accounts.create(request, session.namespace, name=name, subresource="token")
    say(made["status"]["token"])


@command()
@click.argument("name")
@click.option("--image", required=True)
@click.option("--port", default=None, type=int)
@click.option("--labels", "-l", default="")
@click.option("--env", multiple=True)
@click.option("--restart", default="Always")
@click.option("--image-pull-policy", default="")
@click.option("--command", "as_command", is_flag=True)
@with_output
@click.argument("command", nargs=-1)
@with_session
async def run(
    session: Session, name: str, image: str, port: int | None, command: tuple[str, ...], **more: Any
) -> None:
    """Create and run a particular image in a pod."""
    container = _container(name, image, (), port)
    if command:
        container["command" if more["as_command"] else "args"] = list(command)
    if more["env"]:
        container["env"] = [
            dict(zip(("name", "value"), each.split("=", 1), strict=True)) for each in more["env"]
        ]
    if more["image_pull_policy"]:
        container["imagePullPolicy"] = more["image_pull_policy"]
    labels = dict(each.split("=", 1) for each in more["labels"].split(",") if each) or {"run": name}
    spec = {"containers": [container], "restartPolicy": more["restart"]}
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    await make(session, obj, more["dry_run"], more["output"])


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("--port", type=int, required=True)
@click.option("--target-port", default=None)
@click.option("--name", default=None)
@click.option("--type", "service_type", default="ClusterIP")
@click.option("--protocol", default="TCP")
@with_output
@with_session
async def expose(session: Session, words: tuple[str, ...], port: int, name: str | None, **more: Any) -> None:
    """Make a Service for a deployment, a pod, or anything else that has a selector."""
    target = (await session.names.targets(words))[0]
    owner = await session.resource(target.kind).get(target.name, session.where(target.kind))
    selector = (owner.get("spec") or {}).get("selector") or owner["metadata"].get("labels")
    selector = selector.get("matchLabels", selector) if selector else None
    if not selector:
        raise CommandFailed("couldn't retrieve selectors via --selector flag or introspection")
    target_port = more["target_port"] or str(port)
    entry = {
        "port": port,
        "protocol": more["protocol"],
        "targetPort": int(target_port) if target_port.isdigit() else target_port,
    }
    spec = {"selector": selector, "ports": [entry], "type": more["service_type"]}
    metadata = {"name": name or target.name, "labels": owner["metadata"].get("labels") or {}}
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    await make(session, obj, more["dry_run"], more["output"], word="exposed")


async def make(session: Session, obj: Object, dry_run: str, output: str, word: str = "created") -> None:
    """Create an object and say so, or print it, or do neither: as `--dry-run` and `-o` say."""
    kind = await session.names.of_object(obj)
    place(session, kind, obj)
    if dry_run != "client":
        resource = session.resource(kind)
        obj = await resource.create(obj, dry_run=dry_run == "server", field_manager=f"{FIELD_MANAGER}-create")
    if output == "name":
        say(kind.full_name(name_of(obj)))
    elif output:
        printers.emit(obj, output)
    else:
        say(f"{kind.full_name(name_of(obj))} {dry.told(word, dry_run)}")


def _secret(name: str, kind: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "data": data}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandFailed(f"error reading {path}: {error.strerror}") from error


def _container(name: str, image: str, command: Sequence[str], port: int | None) -> Object:
    container: Object = {"name": name, "image": image}
    if command:
        container["command"] = list(command)
    if port is not None:
        container["ports"] = [{"containerPort": port}]
    return container


def _image_name(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0].partition("@")[0]


def _data(literals: Sequence[str], files: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not equals:
            raise CommandFailed(f"invalid literal source {literal}, expected key=value")
        found[key] = value.strip("'\"").encode()
    for file in files:
        key, equals, path = file.rpartition("=")
        source = Path(path)
        if source.is_dir():
            found |= {each.name: each.read_bytes() for each in sorted(source.iterdir()) if each.is_file()}
        else:
            found[key if equals else source.name] = source.read_bytes()
    return found
