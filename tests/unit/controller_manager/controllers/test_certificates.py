"""Why a request for a certificate is not signed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controller_manager.controllers.identity import certificate_signing

KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT, SERVER = (
    ("digital signature", "client auth"),
    ("digital signature", "key encipherment", "server auth"),
)
DNS, EMAIL, IP = (
    x509.DNSName("n.example"),
    x509.RFC822Name("n@example.com"),
    x509.IPAddress(ip_address("::1")),
)
NODE = "system:node:n"


def asked(
    signer: str, usages: Sequence[str], name: str, *names: x509.GeneralName, group: str = "system:nodes"
) -> certificate_signing.Asked:
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = {
        "signerName": f"kubernetes.io/{signer}",
        "usages": list(usages),
        "request": base64.b64encode(pem).decode(),
    }
    return certificate_signing.read({"spec": spec})


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (asked("kube-apiserver-client-kubelet", CLIENT, NODE), ""),
        (
            asked("kube-apiserver-client-kubelet", CLIENT, NODE, group="admins"),
            "subject organization is not system:nodes",
        ),
        (
            asked("kube-apiserver-client-kubelet", CLIENT, NODE, EMAIL),
            "Email subjectAltNames are not allowed",
        ),
        (asked("kube-apiserver-client-kubelet", CLIENT, NODE, IP), "IP subjectAltNames are not allowed"),
        (
            asked("kube-apiserver-client-kubelet", CLIENT, "n"),
            "subject common name does not begin with system:node:",
        ),
        (
            asked("kube-apiserver-client-kubelet", SERVER, NODE),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (asked("kubelet-serving", SERVER, NODE, DNS, IP), ""),
        (asked("kubelet-serving", SERVER, NODE), "DNS or IP subjectAltName is required"),
        (asked("kubelet-serving", SERVER, NODE, DNS, EMAIL), "Email subjectAltNames are not allowed"),
        (
            asked("kubelet-serving", CLIENT, "n", DNS),
            "usages did not match [digital signature key encipherment server auth]",
        ),
        (asked("kube-apiserver-client", CLIENT, "anybody", EMAIL), ""),
        (
            asked("kube-apiserver-client", ("server auth", "client auth"), "a"),
            "invalid usage for client certificate: server auth",
        ),
        (
            asked("kube-apiserver-client", ("digital signature",), "a"),
            "missing required usage for client certificate: client auth",
        ),
        (asked("legacy-unknown", ("server auth",), "a"), ""),
    ],
)
def test_why_a_request_is_not_signed(request_: certificate_signing.Asked, problem: str) -> None:
    if not problem:
        certificate_signing.check(request_)
        return
    with pytest.raises(ValueError) as refused:
        certificate_signing.check(request_)
    assert str(refused.value) == problem
