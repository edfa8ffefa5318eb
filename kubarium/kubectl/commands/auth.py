"""`kubectl auth`: what may I do, and who am I?"""

from __future__ import annotations

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.commandline import group
from kubarium.kubectl.names import UnknownResource
from kubarium.kubectl.printers import columns, document
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

AUTHORIZATION = "authorization.k8s.io/v1"


@group()
def auth() -> None:
    """Inspect authorization."""


@auth.command("can-i")
@click.argument("words", nargs=-1)
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--subresource", default="")
@click.option("-q", "--quiet", is_flag=True)
@click.option("--list", "everything", is_flag=True)
@click.option("--no-headers", is_flag=True)
@with_session
async def can_i(
    session: Session,
    words: tuple[str, ...],
    all_namespaces: bool,
    subresource: str,
    quiet: bool,
    everything: bool,
    no_headers: bool,
) -> None:
    """Check whether an action is allowed: `can-i create pods`, `can-i get /metrics`, `can-i --list`."""
    if everything:
        say(columns(RULE_HEADS, await _rules(session), not no_headers))
        return
    if len(words) not in (2, 3):
        raise CommandFailed(
            "you must specify two arguments: verb resource or verb resource/resourceName.\n"
            "See 'kubectl auth can-i -h' for help and examples."
        )
    verb, asked, *named = words
    if asked.startswith("/"):
        spec: Object = {"nonResourceAttributes": {"verb": verb, "path": asked}}
    else:
        word, _, name = asked.partition("/")
        attributes = await _resource(session, word, quiet)
        attributes |= {"verb": verb, "name": name or (named[0] if named else ""), "subresource": subresource}
        attributes["namespace"] = "" if all_namespaces else session.namespace
        spec = {"resourceAttributes": attributes}
    review = {"apiVersion": AUTHORIZATION, "kind": "SelfSubjectAccessReview", "spec": spec}
    reviews = session.client.resource(AUTHORIZATION, "selfsubjectaccessreviews")
    status = (await reviews.create(review))["status"]
    text = "yes" if status.get("allowed") else "no"
    text += f" - {status['reason']}" if status.get("reason") and not status.get("allowed") else ""
    text += f" - {status['evaluationError']}" if status.get("evaluationError") else ""
    if not quiet:
        say(text)
    if not status.get("allowed"):
        raise SystemExit(1)


@auth.command()
@click.option("-o", "--output", default="")
@with_session
async def whoami(session: Session, output: str) -> None:
    """Show the attributes of the current user, as the server knows them."""
    version = "authentication.k8s.io/v1"
    review = {"apiVersion": version, "kind": "SelfSubjectReview"}
    found = await session.client.resource(version, "selfsubjectreviews").create(review)
    if output:
        say(document(found, output))
        return
    user = found["status"]["userInfo"]
    rows = [["Username", user["username"]]]
    rows += [["UID", user["uid"]]] if user.get("uid") else []
    rows += [["Groups", _words(user["groups"])]] if user.get("groups") else []
    rows += [[f"Extra: {key}", _words(values)] for key, values in sorted((user.get("extra") or {}).items())]
    say(columns(["ATTRIBUTE", "VALUE"], rows))


RULE_HEADS = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]


async def _rules(session: Session) -> list[list[str]]:
    review = {
        "apiVersion": AUTHORIZATION,
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": session.namespace},
    }
    status = (await session.client.resource(AUTHORIZATION, "selfsubjectrulesreviews").create(review))[
        "status"
    ]
    if status.get("evaluationError"):
        warn(f"warning: the list may be incomplete: {status['evaluationError']}")
    rows = []
    for rule in status.get("resourceRules") or []:
        groups = rule.get("apiGroups") or [""]
        for resource in rule.get("resources") or []:
            for api_group in groups:
                name = f"{resource}.{api_group}" if api_group else resource
                rows.append([name, "[]", _words(rule.get("resourceNames")), _words(rule["verbs"])])
    rows.sort(key=lambda row: row[0].partition(".")[::-1])
    others = [
        ["", f"[{url}]", "[]", _words(rule["verbs"])]
        for rule in status.get("nonResourceRules") or []
        for url in rule.get("nonResourceURLs") or []
    ]
    return rows + sorted(others)


async def _resource(session: Session, word: str, quiet: bool) -> Object:
    """Group and resource; what the server does not serve may be asked about all the same."""
    if word == "*":
        return {"group": "*", "resource": "*"}
    try:
        kind = await session.names.kind(word)
    except UnknownResource as error:
        if not quiet:
            warn(f"Warning: {error}")
        resource, _, group = word.partition(".")
        return {"group": group, "resource": resource}
    if not kind.namespaced and not quiet:
        group = f" group '{kind.group}'" if kind.group else ""
        warn(f"Warning: resource '{kind.plural}' is not namespace scoped{' in' + group if group else ''}\n")
    return {"group": kind.group, "resource": kind.plural}


def _words(values: list[str] | None) -> str:
    return "[" + " ".join(values or ()) + "]"
