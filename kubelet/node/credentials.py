"""How a node comes by its identity: a bootstrap token, a certificate signing request, then its own certificate.

    bootstrap kubeconfig (token) ──▶ CSR "system:node:<name>" ──▶ approved and signed ──▶ kubelet-client-current.pem
                                                                                      └─▶ kubeconfig that refers to it

Long before the certificate ends a new one is asked for with the old one.
Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, status_of
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.component_base import certificates, logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Labels
from kubelet import metrics

log = logging.get(__name__)

CURRENT, SERVING = "kubelet-client-current.pem", "kubelet-server-current.pem"
SIGNERS = {  # file -> who signs it, and for what
    CURRENT: ("kubernetes.io/kube-apiserver-client-kubelet", ["digital signature", "client auth"]),
    SERVING: ("kubernetes.io/kubelet-serving", ["digital signature", "server auth"]),
}
GAUGES = {
    CURRENT: (metrics.CLIENT_TTL, metrics.CLIENT_NOT_RENEWED),
    SERVING: (metrics.SERVING_TTL, metrics.SERVING_NOT_RENEWED),
}
POLL = 1.0  # seconds
RETRY = 10.0  # seconds
PATIENCE = 900.0  # seconds for which a request may stay unanswered


class Denied(Exception):
    """The request for a certificate was refused, failed, or not answered."""


async def bootstrap(
    bootstrap_file: str, kubeconfig_file: str, directory: Path, node: str, clock: Clock
) -> None:
    """Make the kubeconfig if it is not there, or if the node was away for longer than its certificate is good for."""
    if Path(kubeconfig_file).exists() and not _has_expired(directory / CURRENT, clock):
        return
    config = kubeconfig.load(bootstrap_file)
    async with Client(config, user_agent="kubelet") as client:
        await request(client, directory, node, clock)
    authority: bytes | str = config.ca_data or config.ca_file
    pem = directory / CURRENT
    certificates.write_kubeconfig(
        kubeconfig_file, server=config.server, ca=authority, user=f"system:node:{node}", pair=(pem, pem)
    )
    log.info("node %s has its own certificate", node)


async def request(
    client: Client, directory: Path, node: str, clock: Clock, file: str = CURRENT, names: Sequence[str] = ()
) -> None:
    """Ask for a certificate and write it, with its key, into one file. Raises Denied."""
    pair = certificates.certificate_request(f"system:node:{node}", ["system:nodes"], names)
    signer, usages = SIGNERS[file]
    requests = client.resource("certificates.k8s.io/v1", "certificatesigningrequests")
    name = (
        "node-csr-"
        + base64.urlsafe_b64encode(hashlib.sha256(pair.cert_pem).digest()).decode().rstrip("=").lower()
    )
    name = name.replace("_", "-").strip("-")
    await requests.create(
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(pair.cert_pem).decode(),
                "signerName": signer,
                "usages": usages,
            },
        }
    )
    waited = 0.0
    while waited < PATIENCE:
        certificate = _answer(await requests.get(name))
        if certificate:
            directory.mkdir(parents=True, exist_ok=True)
            certificates.write_private(directory / file, certificate + pair.key_pem)
            return
        await clock.sleep(POLL)
        waited += POLL
    raise Denied(f"certificate signing request {name} was not answered")


def _left(ends: datetime, clock: Clock) -> list[tuple[Labels, float]]:
    return [((), (ends - clock.now()).total_seconds())]


def _has_expired(pem: Path, clock: Clock) -> bool:
    return pem.exists() and certificates.expires(pem.read_bytes()) <= clock.now()


def _answer(found: Object) -> bytes:
    for condition in status_of(found).get("conditions") or []:
        if condition["type"] in ("Denied", "Failed"):
            raise Denied(
                f"certificate request was not signed: {condition.get('message') or condition['type']}"
            )
    return base64.b64decode(status_of(found).get("certificate") or "")


async def serving(
    client: Client, directory: Path, node: str, names: Sequence[str], clock: Clock
) -> tuple[str, str]:
    """The serving certificate that the cluster signed; waited for until somebody approves the request."""
    pem = directory / SERVING
    while not pem.exists() or certificates.expires(pem.read_bytes()) <= clock.now():
        try:
            await request(client, directory, node, clock, SERVING, names)
        except (Denied, errors.StatusError, OSError) as error:
            log.warning("no serving certificate yet: %s", error)
            await clock.sleep(RETRY)
    return str(pem), str(pem)


async def rotate(
    client: Client,
    directory: Path,
    node: str,
    clock: Clock,
    renewed: Callable[[], None],
    file: str = CURRENT,
    names: Sequence[str] = (),
) -> None:
    """Renew the certificate when most of its life is over; `renewed` makes connections use it."""
    ttl, not_renewed = GAUGES[file]
    while True:
        pem = (directory / file).read_bytes()
        begun, ends = certificates.lifetime(pem)
        ttl.read = partial(_left, ends, clock)
        # Somewhere between 70 and 90 percent of its life, so that not all nodes ask at once.
        due = begun + (ends - begun) * random.uniform(0.7, 0.9)
        await clock.sleep(max(1.0, (due - clock.now()).total_seconds()))
        try:
            await request(client, directory, node, clock, file, names)
            renewed()
        except (Denied, errors.StatusError, OSError) as error:
            not_renewed.add()
            log.warning("certificate not renewed: %s", error)
            await clock.sleep(60.0)


def self_signed(directory: Path, names: list[str]) -> tuple[str, str]:
    """A serving certificate for a kubelet that was given none."""
    cert_file, key_file = directory / "kubelet.crt", directory / "kubelet.key"
    if not cert_file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        authority = certificates.Authority.create(f"{names[0]}-ca")
        authority.server(names[0], names).write(cert_file, key_file)
    return str(cert_file), str(key_file)
