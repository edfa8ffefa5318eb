"""`kubectl config`: the kubeconfig file itself; no cluster is asked.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.kubectl.commandline import group
from kubarium.kubectl.printers import columns, document
from kubarium.kubectl.session import Chosen, CommandFailed, say, warn

SECRETS = {
    "certificate-authority-data": "DATA+OMITTED",
    "client-certificate-data": "DATA+OMITTED",
    "client-key-data": "DATA+OMITTED",
    "token": "REDACTED",
    "password": "REDACTED",
}


@group()
def config() -> None:
    """Modify kubeconfig files."""


@config.command()
@click.option("--minify", is_flag=True)
@click.option("--raw", is_flag=True)
@click.option("--flatten", is_flag=True, hidden=True)
@click.option("-o", "--output", default="yaml")
def view(minify: bool, raw: bool, flatten: bool, output: str) -> None:
    """Display merged kubeconfig settings."""
    document_ = _read()
    if minify:
        document_ = minified(document_, _context())
    if not raw and not flatten:
        document_ = redacted(document_)
    say(document(document_, output))


@config.command()
def current_context() -> None:
    """Display the current-context."""
    if not (current := _read().get("current-context")):
        raise CommandFailed("current-context is not set")
    say(current)


@config.command()
@click.argument("name", required=False)
@click.option("--no-headers", is_flag=True)
@click.option("-o", "--output", default="", type=click.Choice(["", "name"]))
def get_contexts(name: str | None, no_headers: bool, output: str) -> None:
    """Describe one or many contexts."""
    found = _read()
    rows = []
    for entry in sorted(found["contexts"], key=lambda entry: str(entry["name"])):
        if name in (None, entry["name"]):
            said = entry.get("context") or {}
            star = "*" if entry["name"] == found["current-context"] else ""
            rows.append(
                [star, entry["name"], *(said.get(field, "") for field in ("cluster", "user", "namespace"))]
            )
    if name is not None and not rows:
        raise CommandFailed(f"context {name} not found")
    if output == "name":
        say("\n".join(row[1] for row in rows))
    else:
        say(columns(["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"], rows, not no_headers))


@config.command()
def get_clusters() -> None:
    """Display clusters defined in the kubeconfig."""
    say(columns(["NAME"], [[entry["name"]] for entry in _read()["clusters"]]))


@config.command()
def get_users() -> None:
    """Display users defined in the kubeconfig."""
    say(columns(["NAME"], [[entry["name"]] for entry in _read()["users"]]))


@config.command()
@click.argument("name")
def use_context(name: str) -> None:
    """Set the current-context in a kubeconfig file."""
    found = _read()
    if _entry(found, "contexts", name) is None:
        raise CommandFailed(f'no context exists with the name: "{name}"')
    _write(found | {"current-context": name})
    say(f'Switched to context "{name}".')


config.add_command(use_context, "use")


@config.command()
@click.argument("name", required=False)
@click.option("--current", is_flag=True)
@click.option("--cluster", default=None)
@click.option("--user", default=None)
def set_context(name: str | None, current: bool, **given: str | None) -> None:
    """Set a context entry in kubeconfig; its namespace is --namespace."""
    found = _read()
    name = found["current-context"] if current else name
    if not name:
        raise CommandFailed("you must specify a non-empty context name or --current")
    given["namespace"] = click.get_current_context().ensure_object(Chosen).namespace
    _change(found, "contexts", "context", name, given)


@config.command()
@click.argument("name")
@click.option("--server", default=None)
@click.option("--certificate-authority", default=None)
@click.option("--embed-certs", is_flag=True)
@click.option("--insecure-skip-tls-verify", is_flag=True, default=None)
@click.option("--tls-server-name", default=None)
def set_cluster(name: str, embed_certs: bool, **given: Any) -> None:
    """Set a cluster entry in kubeconfig."""
    _change(_read(), "clusters", "cluster", name, _embedded(given, embed_certs))


@config.command()
@click.argument("name")
@click.option("--client-certificate", default=None)
@click.option("--client-key", default=None)
@click.option("--embed-certs", is_flag=True)
@click.option("--token", default=None)
def set_credentials(name: str, embed_certs: bool, **given: Any) -> None:
    """Set a user entry in kubeconfig."""
    _change(_read(), "users", "user", name, _embedded(given, embed_certs))


@config.command()
@click.argument("old")
@click.argument("new")
def rename_context(old: str, new: str) -> None:
    """Rename a context from the kubeconfig file."""
    found = _read()
    entry = _entry(found, "contexts", old)
    if entry is None:
        raise CommandFailed(f'cannot rename the context "{old}", it\'s not in {_path()}')
    if _entry(found, "contexts", new) is not None:
        raise CommandFailed(
            f'cannot rename the context "{old}", the context "{new}" already exists in {_path()}'
        )
    entry["name"] = new
    if found["current-context"] == old:
        found["current-context"] = new
    _write(found)
    say(f'Context "{old}" renamed to "{new}".')


@config.command()
@click.argument("name")
def delete_context(name: str) -> None:
    """Delete the specified context from the kubeconfig."""
    if name == _read()["current-context"]:
        warn(
            "warning: this removed your active context, "
            'use "kubectl config use-context" to select a different one'
        )
    _delete("contexts", "context", name)


@config.command()
@click.argument("name")
def delete_cluster(name: str) -> None:
    """Delete the specified cluster from the kubeconfig."""
    _delete("clusters", "cluster", name)


@config.command()
@click.argument("name")
def delete_user(name: str) -> None:
    """Delete the specified user from the kubeconfig."""
    _delete("users", "user", name)


def redacted(found: Object) -> Object:
    """Without what nobody should read over a shoulder."""
    if not isinstance(found, dict):
        return [redacted(item) for item in found] if isinstance(found, list) else found
    return {
        key: SECRETS[key] if key in SECRETS and value else redacted(value) for key, value in found.items()
    }


def minified(found: Object, context: str) -> Object:
    """Only what one context needs. Raises CommandFailed."""
    entry = _entry(found, "contexts", context)
    if entry is None:
        raise CommandFailed(
            "cannot locate context " + (context or "current-context must exist in order to minify")
        )
    said = entry["context"]
    return found | {
        "current-context": context,
        "contexts": [entry],
        "clusters": [each for each in found["clusters"] if each["name"] == said.get("cluster")],
        "users": [each for each in found["users"] if each["name"] == said.get("user")],
    }


def _files() -> list[str]:
    chosen = click.get_current_context().ensure_object(Chosen)
    return [chosen.kubeconfig] if chosen.kubeconfig else kubeconfig.paths()


def _path() -> Path:
    """Where new entries go."""
    chosen = click.get_current_context().ensure_object(Chosen)
    return Path(chosen.kubeconfig or kubeconfig.default_path())


def _context() -> str:
    chosen = click.get_current_context().ensure_object(Chosen)
    return chosen.context or str(_read()["current-context"])


def _read() -> Object:
    """All files as one, or an empty one; every section is there."""
    return kubeconfig.merged(_files())[0]


def _write(found: Object) -> None:
    """Bring each file to what is wanted: an entry stays where it is, a new one goes to the default file."""
    before, origins = kubeconfig.merged(_files())
    default = str(_path())
    documents = {path: kubeconfig.read(path) for path in dict.fromkeys([*_files(), default])}
    changed = set()
    for section in kubeconfig.SECTIONS:
        old, new = ({each["name"]: each for each in one[section]} for one in (before, found))
        # One that goes while another comes was renamed, and stays in its file.
        moved = next((origins[section, name] for name in old if name not in new), default)
        for name in [name for name in {**old, **new} if old.get(name) != new.get(name)]:
            path = origins.get((section, name), moved if name in new else default)
            others = documents[path].get(section) or []
            at = [each["name"] for each in others].index(name) if name in old else len(others)
            documents[path][section] = [*others[:at], *filter(None, [new.get(name)]), *others[at + 1 :]]
            changed.add(path)
    if before["current-context"] != found["current-context"]:
        documents[default]["current-context"] = found["current-context"]
        changed.add(default)
    for path in changed:
        _save(Path(path), documents[path])


def _save(path: Path, found: Object) -> None:
    empty: Object = {"apiVersion": "v1", "kind": "Config", "current-context": ""}
    empty |= {section: [] for section in kubeconfig.SECTIONS}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(document(empty | {key: value for key, value in found.items() if value}, "yaml") + "\n")
    new.replace(path)


def _entry(found: Object, section: str, name: str) -> Object | None:
    return next((entry for entry in found[section] if entry["name"] == name), None)


def _change(found: Object, section: str, kind: str, name: str, given: Object) -> None:
    entry = _entry(found, section, name)
    word = "created" if entry is None else "modified"
    if entry is None:
        entry = {"name": name, kind: {}}
        found[section].append(entry)
    changes = {key.replace("_", "-"): value for key, value in given.items() if value is not None}
    entry[kind] = {key: value for key, value in {**(entry.get(kind) or {}), **changes}.items() if value != ""}
    _write(found)
    title = {"context": "Context", "cluster": "Cluster", "user": "User"}[kind]
    say(f'{title} "{name}" {"set" if kind != "context" else word}.')


def _delete(section: str, kind: str, name: str) -> None:
    found = _read()
    if _entry(found, section, name) is None:
        raise CommandFailed(f"cannot delete {kind} {name}, not in {_path()}")
    found[section] = [entry for entry in found[section] if entry["name"] != name]
    _write(found)
    say(f"deleted {kind} {name} from {_path()}")


def _embedded(given: Object, embed: bool) -> Object:
    """Paths of certificates, absolute, or what the files hold."""
    found: Object = {}
    for key, value in given.items():
        is_file = key in ("certificate_authority", "client_certificate", "client_key") and value
        if is_file and embed:
            found[f"{key}-data"] = kubeconfig.encoded(Path(value).read_bytes())
        else:
            found[key] = str(Path(value).resolve()) if is_file else value
    return found
