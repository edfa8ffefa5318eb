"""`kubectl create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`: who may do what, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.commands.create import create, make, with_output
from kubarium.kubectl.session import CommandFailed, Session, with_session

RBAC = "rbac.authorization.k8s.io"


def with_words(*names: str, separator: str | None = ",") -> Callable[[Any], Any]:
    """Flags that may be given several times, and hold several words each time: `--verb get,list --verb watch`.

    Without a separator, each holds one.
    """

    def words(_context: click.Context, _flag: click.Parameter, values: Sequence[str]) -> list[str]:
        parts = (part for value in values for part in (value.split(separator) if separator else [value]))
        return list(dict.fromkeys(part.strip() for part in parts if part.strip()))

    def decorate(command: Any) -> Any:
        for name in reversed(names):
            command = click.option(name, multiple=True, callback=words)(command)
        return command

    return decorate


@create.command()
@click.argument("name")
@with_words("--verb", "--resource")
@with_words("--resource-name", separator=None)
@with_output
@with_session
async def role(
    session: Session,
    name: str,
    verb: Sequence[str],
    resource: Sequence[str],
    resource_name: Sequence[str],
    dry_run: str,
    output: str,
) -> None:
    """Create a role with single rule."""
    rules = await _resource_rules(session, verb, resource, resource_name)
    await make(session, _role("Role", name, rules), dry_run, output)


@create.command()
@click.argument("name")
@with_words("--verb", "--resource")
@with_words("--resource-name", separator=None)
@with_words("--non-resource-url", "--aggregation-rule")
@with_output
@with_session
async def clusterrole(
    session: Session,
    name: str,
    verb: Sequence[str],
    resource: Sequence[str],
    resource_name: Sequence[str],
    non_resource_url: Sequence[str],
    aggregation_rule: Sequence[str],
    dry_run: str,
    output: str,
) -> None:
    """Create a cluster role."""
    if aggregation_rule:
        labels = dict(word.split("=", 1) for word in aggregation_rule)
        made = _role("ClusterRole", name, None)
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": labels}]}
    elif non_resource_url:
        rule = {"nonResourceURLs": non_resource_url, "verbs": verb}
        made = _role("ClusterRole", name, [rule])
    else:
        rules = await _resource_rules(session, verb, resource, resource_name)
        made = _role("ClusterRole", name, rules)
    await make(session, made, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--role", "of_role", default="")
@click.option("--clusterrole", "of_cluster", default="")
@with_words("--user", "--group", "--serviceaccount", separator=None)
@with_output
@with_session
async def rolebinding(
    session: Session,
    name: str,
    of_role: str,
    of_cluster: str,
    user: Sequence[str],
    group: Sequence[str],
    serviceaccount: Sequence[str],
    dry_run: str,
    output: str,
) -> None:
    """Create a role binding for a particular role or cluster role."""
    if bool(of_role) == bool(of_cluster):
        raise CommandFailed("exactly one of clusterrole or role must be specified")
    reference = ("ClusterRole", of_cluster) if of_cluster else ("Role", of_role)
    made = binding("RoleBinding", name, reference, user, group, serviceaccount)
    await make(session, made, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--clusterrole", "of_cluster", required=True)
@with_words("--user", "--group", "--serviceaccount", separator=None)
@with_output
@with_session
async def clusterrolebinding(
    session: Session,
    name: str,
    of_cluster: str,
    user: Sequence[str],
    group: Sequence[str],
    serviceaccount: Sequence[str],
    dry_run: str,
    output: str,
) -> None:
    """Create a cluster role binding for a particular cluster role."""
    reference = ("ClusterRole", of_cluster)
    made = binding("ClusterRoleBinding", name, reference, user, group, serviceaccount)
    await make(session, made, dry_run, output)


def binding(
    kind: str,
    name: str,
    reference: tuple[str, str],
    users: Sequence[str],
    groups: Sequence[str],
    accounts: Sequence[str],
) -> Object:
    """A binding of a role to all of them. Raises CommandFailed for an account without a namespace."""
    subjects: list[Object] = [{"apiGroup": RBAC, "kind": "User", "name": user} for user in users]
    subjects += [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups]
    for account in accounts:
        namespace, colon, own = account.partition(":")
        if not colon or not namespace or not own or ":" in own:
            raise CommandFailed("serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "namespace": namespace, "name": own})
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": reference[0], "name": reference[1]},
        "subjects": subjects,
    }


async def _resource_rules(
    session: Session, verbs: Sequence[str], resources: Sequence[str], names: Sequence[str]
) -> list[Object]:
    """One rule for each group, the resources by their full names."""
    if not verbs:
        raise CommandFailed("at least one verb must be specified")
    if not resources:
        raise CommandFailed("at least one resource must be specified")
    groups: dict[str, list[str]] = {}
    for word in resources:
        asked, slash, subresource = word.partition("/")
        if asked == "*":
            groups.setdefault("*", []).append("*")
            continue
        kind = await session.names.kind(asked)
        groups.setdefault(kind.group, []).append(kind.plural + slash + subresource)
    named = {"resourceNames": names} if names else {}
    return [
        {"apiGroups": [group], "resources": each, **named, "verbs": verbs}
        for group, each in sorted(groups.items())
    ]


def _role(kind: str, name: str, rules: list[Object] | None) -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, "rules": rules}
