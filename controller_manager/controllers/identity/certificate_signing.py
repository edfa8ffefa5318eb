"""CertificateSigningRequests: approve what nodes ask for, sign what is approved, clean up what is old.

    kubernetes.io/kube-apiserver-client-kubelet   approved for whoever may ask so (by SubjectAccessReview), signed
    kubernetes.io/kubelet-serving                 signed once somebody has approved it
    kubernetes.io/kube-apiserver-client           the same
    kubernetes.io/legacy-unknown                  the same

Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubarium.apimachinery import conditions, errors, time
from kubarium.apimachinery.object import Object, ObjectKey, copy, name_of, spec_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.certificates import Authority
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

API = ("certificates.k8s.io/v1", "certificatesigningrequests")

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
API_CLIENT = "kubernetes.io/kube-apiserver-client"

NODE_USAGES = frozenset(("digital signature", "key encipherment"))  # the second is for RSA only

SORTS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.RFC822Name: "Email",
    x509.IPAddress: "IP",
    x509.UniformResourceIdentifier: "URI",
}

EXTENDED = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}

APPROVED_AGE = timedelta(hours=1)
DENIED_AGE = timedelta(hours=1)
PENDING_AGE = timedelta(hours=24)
CLEAN_PERIOD = 3600.0  # seconds


def is_approved(request: Object) -> bool:
    """Approved, and not denied as well."""
    return conditions.is_true(request, "Approved") and not conditions.is_true(request, "Denied")


def is_decided(request: Object) -> bool:
    """Has somebody approved or denied it?"""
    return conditions.is_true(request, "Approved") or conditions.is_true(request, "Denied")


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    signer: str
    user: str
    groups: frozenset[str]
    usages: tuple[str, ...]
    csr: x509.CertificateSigningRequest

    @property
    def common_name(self) -> str:
        """The user of a client certificate, the name of a server's."""
        found = self.csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else ""

    @property
    def organizations(self) -> list[str]:
        """The groups of a client certificate."""
        return [str(one.value) for one in self.csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]

    def names(self, *sorts: type[x509.GeneralName]) -> bool:
        """Does it have other names of these sorts?"""
        try:
            found = self.csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return False
        return any(isinstance(one, sorts) for one in found)


def read(request: Object) -> Asked:
    """Decode a request. Raises ValueError."""
    spec = spec_of(request)
    return Asked(
        spec.get("signerName") or "",
        spec.get("username") or "",
        frozenset(spec.get("groups") or ()),
        tuple(spec.get("usages") or ()),
        x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or "")),
    )


def node_client_problem(asked: Asked) -> str:
    """Why this is not what a kubelet asks for, to be known by as its node; nothing if it is."""
    if asked.organizations != ["system:nodes"]:
        return "subject organization is not system:nodes"
    for sort, called in SORTS.items():
        if asked.names(sort):
            return f"{called} subjectAltNames are not allowed"
    return _name_problem(asked) or _usage_problem(asked, "client auth")


def node_serving_problem(asked: Asked) -> str:
    """Why this is not what a kubelet asks for, to be reached at; nothing if it is."""
    if asked.organizations != ["system:nodes"]:
        return "subject organization is not system:nodes"
    if not asked.names(x509.DNSName, x509.IPAddress):
        return "DNS or IP subjectAltName is required"
    for sort in (x509.RFC822Name, x509.UniformResourceIdentifier):
        if asked.names(sort):
            return f"{SORTS[sort]} subjectAltNames are not allowed"
    return _usage_problem(asked, "server auth") or _name_problem(asked)


def _name_problem(asked: Asked) -> str:
    fits = asked.common_name.startswith("system:node:")
    return "" if fits else "subject common name does not begin with system:node:"


def _usage_problem(asked: Asked, auth: str) -> str:
    wanted = {*NODE_USAGES, auth}
    if set(asked.usages) in (wanted, wanted - {"key encipherment"}):
        return ""
    return f"usages did not match [{' '.join(sorted(wanted))}]"


def client_problem(asked: Asked) -> str:
    """Why this is no certificate of a client of the API server; nothing if it is."""
    for usage in asked.usages:
        if usage not in NODE_USAGES and usage != "client auth":
            return f"invalid usage for client certificate: {usage}"
    return (
        "" if "client auth" in asked.usages else "missing required usage for client certificate: client auth"
    )


class CertificateApprover(Controller):
    """Approves client certificates of nodes."""

    name = "certificatesigningrequest-approving-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.requests = informers.informer(*API).lister
        self.resource = client.resource(*API)
        self.reviews = client.resource("authorization.k8s.io/v1", "subjectaccessreviews")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch(*API)]

    async def reconcile(self, key: ObjectKey) -> None:
        request = self.requests.get(key)
        if request is None or is_decided(request) or status_of(request).get("certificate"):
            return
        if spec_of(request).get("signerName") != KUBELET_CLIENT:
            return
        asked = read(request)
        if node_client_problem(asked):
            return
        if asked.common_name == asked.user and await self._may(request, "selfnodeclient"):
            await self._approve(
                request, "Auto approving self kubelet client certificate after SubjectAccessReview."
            )
        elif await self._may(request, "nodeclient"):
            await self._approve(
                request, "Auto approving kubelet client certificate after SubjectAccessReview."
            )

    async def _may(self, request: Object, subresource: str) -> bool:
        spec = spec_of(request)
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.get("username"),
                "uid": spec.get("uid") or "",
                "groups": spec.get("groups") or [],
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": "certificates.k8s.io",
                    "resource": "certificatesigningrequests",
                    "verb": "create",
                    "subresource": subresource,
                    "version": "*",
                },
            },
        }
        return bool(status_of(await self.reviews.create(review)).get("allowed"))

    async def _approve(self, request: Object, message: str) -> None:
        changed = copy(request)
        condition = {
            "type": "Approved",
            "status": "True",
            "reason": "AutoApproved",
            "message": message,
            "lastUpdateTime": time.format_time(self.clock.now()),
        }
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        conditions.set_condition(listed, condition, self.clock.now())
        log.info("approving %s", name_of(request))
        await self.resource.update(changed, subresource="approval")


class CertificateSigner(Controller):
    """Signs what is approved."""

    name = "certificatesigningrequest-signing-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        *,
        authorities: Mapping[str, Authority],
        longest: timedelta,
    ) -> None:
        """`authorities`: who signs for which signer; requests for others are left alone."""
        self.authorities, self.longest = authorities, longest
        self.requests = informers.informer(*API).lister
        self.resource = client.resource(*API)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch(*API)]

    async def reconcile(self, key: ObjectKey) -> None:
        request = self.requests.get(key)
        if request is None or not is_approved(request) or status_of(request).get("certificate"):
            return
        authority = self.authorities.get(spec_of(request).get("signerName") or "")
        if authority is None or conditions.is_true(request, "Failed"):
            return
        changed = copy(request)
        try:
            asked = read(request)
            check(asked)
        except ValueError as error:
            failure = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": str(error),
            }
            failure["lastUpdateTime"] = time.format_time(self.clock.now())
            conditions.set_condition(
                changed["status"].setdefault("conditions", []), failure, self.clock.now()
            )
        else:
            lifetime = lifetime_of(request, self.longest)
            signed = authority.sign_request(
                base64.b64decode(spec_of(request)["request"]),
                usages=extended_usages(asked),
                lifetime=lifetime,
            )
            changed["status"]["certificate"] = base64.b64encode(signed).decode()
            log.info("signing %s", name_of(request))
        await self.resource.update_status(changed)


class CertificateCleaner:
    """Deletes requests that nobody needs any more."""

    name = "certificatesigningrequest-cleaner-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._requests, self._clock = informers.informer(*API), clock
        self._resource = client.resource(*API)

    async def run(self) -> None:
        """Look around every hour."""
        await self._requests.synced()
        while True:
            for request in self._requests.lister.list():
                if is_old(request, self._clock.now()):
                    try:
                        await self._resource.delete(name_of(request))
                    except (
                        errors.StatusError,
                        ConnectionError,
                        TimeoutError,
                    ) as error:  # the edge of the loop
                        log.info("cannot clean up %s: %s", name_of(request), error)
            await self._clock.sleep(CLEAN_PERIOD)


PROBLEMS = {
    KUBELET_CLIENT: node_client_problem,
    KUBELET_SERVING: node_serving_problem,
    API_CLIENT: client_problem,
}


def check(asked: Asked) -> None:
    """Is this something that its signer signs? Raises ValueError."""
    problem = PROBLEMS[asked.signer](asked) if asked.signer in PROBLEMS else ""
    if problem:
        raise ValueError(problem)


def extended_usages(asked: Asked) -> list[x509.ObjectIdentifier]:
    """What the certificate may be used for."""
    return [EXTENDED[usage] for usage in sorted(asked.usages) if usage in EXTENDED]


def lifetime_of(request: Object, longest: timedelta) -> timedelta:
    """What was asked for, at least ten minutes, at most what the cluster allows."""
    asked = spec_of(request).get("expirationSeconds")
    if asked is None:
        return longest
    return max(timedelta(minutes=10), min(timedelta(seconds=asked), longest))


def is_old(request: Object, now: datetime) -> bool:
    """Decided an hour ago, undecided for a day, or with a certificate that has ended."""
    for type, age in (("Approved", APPROVED_AGE), ("Denied", DENIED_AGE), ("Failed", DENIED_AGE)):
        condition = conditions.find(status_of(request).get("conditions"), type)
        if condition is not None and condition.get("lastUpdateTime"):
            if type == "Approved" and not status_of(request).get("certificate"):
                continue
            return now - time.parse_time(condition["lastUpdateTime"]) > age
    created = request["metadata"].get("creationTimestamp")
    return bool(created) and now - time.parse_time(created) > PENDING_AGE
