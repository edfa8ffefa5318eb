"""Who may approve a certificate request, who may sign it, and what nobody may ask for."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery.object import Object, spec_of, status_of

GROUP = "certificates.k8s.io"
_REQUESTS = frozenset({(GROUP, "certificatesigningrequests")})
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"

May = Callable[[User, RequestInfo], Awaitable[bool]]


async def may_use_signer(may: May, user: User, verb: str, signer: str) -> bool:
    """Rights are given for a signer, or for all of a domain: `example.com/*`."""
    for name in (signer, signer.partition("/")[0] + "/*"):
        if await may(user, RequestInfo("", verb, True, "apis", GROUP, "*", "", "signers", "", name)):
            return True
    return False


class CertificateApproval(AdmissionPlugin):
    """Approving needs the verb `approve` on the signer."""

    name = "CertificateApproval"
    operations = frozenset({UPDATE})
    resources = _REQUESTS

    def __init__(self, may: May) -> None:
        self._may = may

    async def validate(self, attributes: Attributes) -> None:
        """Refuse who may not."""
        if attributes.subresource != "approval":
            return
        signer = _signer(attributes.new)
        if not await may_use_signer(self._may, attributes.user, "approve", signer):
            raise attributes.forbidden(f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning(AdmissionPlugin):
    """Writing the certificate needs the verb `sign` on the signer."""

    name = "CertificateSigning"
    operations = frozenset({UPDATE})
    resources = _REQUESTS

    def __init__(self, may: May) -> None:
        self._may = may

    async def validate(self, attributes: Attributes) -> None:
        """Refuse who may not; changes that sign nothing pass."""
        if attributes.subresource != "status":
            return
        new, old = status_of(attributes.new), status_of(attributes.old or {})
        same_certificate = new.get("certificate") == old.get("certificate")
        if same_certificate and _failed(new) == _failed(old):
            return
        signer = _signer(attributes.new)
        if not await may_use_signer(self._may, attributes.user, "sign", signer):
            raise attributes.forbidden(f'user not permitted to sign requests with signerName "{signer}"')


class CertificateSubjectRestriction(AdmissionPlugin):
    """Nobody becomes cluster administrator by a certificate request."""

    name = "CertificateSubjectRestriction"
    operations = frozenset({CREATE})
    resources = _REQUESTS

    async def validate(self, attributes: Attributes) -> None:
        """Refuse the group system:masters."""
        if attributes.subresource or _signer(attributes.new) != _CLIENT_SIGNER:
            return
        try:
            pem = base64.b64decode(spec_of(attributes.new).get("request") or "")
            asked = x509.load_pem_x509_csr(pem)
        except ValueError as error:
            raise attributes.forbidden(f"unable to parse CSR: {error}") from None
        groups = [part.value for part in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if users.MASTERS in groups:
            raise attributes.forbidden(
                f"use of {_CLIENT_SIGNER} signer with {users.MASTERS} group is not allowed"
            )


def _signer(request: Object) -> str:
    return spec_of(request).get("signerName") or ""


def _failed(status: Object) -> bool:
    return any(one.get("type") == "Failed" for one in status.get("conditions") or ())
