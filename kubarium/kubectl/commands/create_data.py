"""`kubectl create configmap` and `create secret`: values from words and files."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from kubarium.apimachinery.object import Object
from kubarium.kubectl.commands.create import create, make, with_output
from kubarium.kubectl.session import CommandFailed, Session, with_session


@create.command()
@click.argument("name")
@click.option("--from-literal", "literals", multiple=True)
@click.option("--from-file", "files", multiple=True)
@click.option("--from-env-file", "env_files", multiple=True)
@with_output
@with_session
async def configmap(session: Session, name: str, dry_run: str, output: str, **sources: Any) -> None:
    """Create a config map."""
    await make(session, config_map(name, data_of(**sources)), dry_run, output)


def config_map(name: str, content: Mapping[str, bytes]) -> Object:
    """What is no text goes into its binary data."""
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    for key, value in content.items():
        try:
            obj.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            obj.setdefault("binaryData", {})[key] = _encoded(value)
    return obj


@create.group()
def secret() -> None:
    """Create a secret."""


@secret.command()
@click.argument("name")
@click.option("--type", "kind", default="")
@click.option("--from-literal", "literals", multiple=True)
@click.option("--from-file", "files", multiple=True)
@click.option("--from-env-file", "env_files", multiple=True)
@with_output
@with_session
async def generic(session: Session, name: str, kind: str, dry_run: str, output: str, **sources: Any) -> None:
    """Create a secret from literals or files."""
    data = {key: _encoded(value) for key, value in data_of(**sources).items()}
    await make(session, _secret(name, kind, data), dry_run, output)


@secret.command()
@click.argument("name")
@click.option("--cert", required=True)
@click.option("--key", required=True)
@with_output
@with_session
async def tls(session: Session, name: str, cert: str, key: str, dry_run: str, output: str) -> None:
    """Create a TLS secret from a key pair in two files."""
    data = {
        name: _encoded(_bytes_of(path, "Cannot read file {0}, open {0}"))
        for name, path in (("tls.crt", cert), ("tls.key", key))
    }
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


def _secret(name: str, kind: str, data: dict[str, str]) -> Object:
    typed = {"type": kind} if kind else {}
    content = {"data": data} if data else {}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **typed, **content}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes_of(path: str, trouble: str = "error reading {0}") -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandFailed(f"{trouble.format(path)}: {(error.strerror or '').lower()}") from error


def data_of(literals: Sequence[str], files: Sequence[str], env_files: Sequence[str]) -> dict[str, bytes]:
    """What `--from-literal`, `--from-file` and `--from-env-file` name. Raises CommandFailed."""
    if env_files and (literals or files):
        raise CommandFailed("from-env-file cannot be combined with from-file or from-literal")
    found: dict[str, bytes] = {}
    for key, value in (*_of_files(files), *_of_literals(literals), *_of_env_files(env_files)):
        if key in found:
            raise CommandFailed(
                f"cannot add key {key!r}, another key by that name already exists".replace("'", '"')
            )
        found[key] = value
    return found


def _of_literals(literals: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not equals:
            raise CommandFailed(f"invalid literal source {literal}, expected key=value")
        yield key, (value[1:-1] if value[:1] in "\"'" and value[-1:] == value[:1] != "" else value).encode()


def _of_files(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        key, equals, path = file.rpartition("=")
        source = Path(path)
        if source.is_dir():
            yield from (
                (each.name, _bytes_of(str(each))) for each in sorted(source.iterdir()) if each.is_file()
            )
        else:
            yield key if equals else source.name, _bytes_of(path)


def _of_env_files(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Lines `KEY=value`; those that begin with `#` say nothing."""
    for file in files:
        for line in _bytes_of(file).decode().splitlines():
            if (text := line.strip()) and not text.startswith("#"):
                key, _, value = line.lstrip().partition("=")
                yield key, value.encode()
