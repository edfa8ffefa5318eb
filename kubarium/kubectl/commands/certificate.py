"""`kubectl certificate`: approve or deny requests for certificates.

Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from kubarium.apimachinery.object import status_of
from kubarium.apimachinery.time import format_time
from kubarium.kubectl.commandline import group
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

API = "certificates.k8s.io/v1"


@group()
def certificate() -> None:
    """Modify certificate resources."""


@certificate.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--force", is_flag=True)
@with_session
async def approve(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Approve certificate signing requests."""
    await _decide(session, names, force, "Approved", "KubectlApprove")


@certificate.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--force", is_flag=True)
@with_session
async def deny(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Deny certificate signing requests."""
    await _decide(session, names, force, "Denied", "KubectlDeny")


async def _decide(session: Session, names: Sequence[str], force: bool, decision: str, reason: str) -> None:
    requests = session.client.resource(API, "certificatesigningrequests")
    verb = "approve" if decision == "Approved" else "deny"
    for name in names:
        request = await requests.get(name.rpartition("/")[2])
        conditions = status_of(request).get("conditions") or []
        taken = {condition["type"] for condition in conditions}
        other = ({"Approved", "Denied"} - {decision}).pop()
        if other in taken:
            raise CommandFailed(f'certificate signing request "{name}" is already {other.lower()}')
        if decision not in taken or force:
            now = format_time(datetime.now(UTC))
            made = {
                "type": decision,
                "status": "True",
                "reason": reason,
                "message": f"This CSR was {decision.lower()} by kubectl certificate {verb}.",
                "lastUpdateTime": now,
                "lastTransitionTime": now,
            }
            kept = [condition for condition in conditions if condition["type"] != decision]
            request.setdefault("status", {})["conditions"] = [*kept, made]
            await requests.update(request, subresource="approval")
        say(f"certificatesigningrequest.certificates.k8s.io/{name.rpartition('/')[2]} {decision.lower()}")
