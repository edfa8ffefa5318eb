"""Who asks for a certificate, for which names, and what was decided."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers.page import Page, map_text, moment
from kubarium.kubectl.session import Session

SUBJECT = {
    "Organization": NameOID.ORGANIZATION_NAME,
    "Organizational Unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "Country": NameOID.COUNTRY_NAME,
    "Locality": NameOID.LOCALITY_NAME,
    "Province": NameOID.STATE_OR_PROVINCE_NAME,
    "StreetAddress": NameOID.STREET_ADDRESS,
    "PostalCode": NameOID.POSTAL_CODE,
}
"""What else is told of a subject, if it is there."""


async def signing_request(session: Session, obj: Object, page: Page) -> None:
    """The request as it lies in the object, read."""
    metadata, spec = obj["metadata"], obj["spec"]
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Labels:", map_text(metadata.get("labels")))
    page.write(0, "Annotations:", map_text(metadata.get("annotations")))
    page.write(0, "CreationTimestamp:", moment(metadata.get("creationTimestamp")))
    page.write(0, "Requesting User:", spec.get("username") or "")
    if spec.get("signerName"):
        page.write(0, "Signer:", spec["signerName"])
    if spec.get("expirationSeconds"):
        page.write(0, "Requested Duration:", api_time.human_duration(spec["expirationSeconds"]))
    page.write(0, "Status:", decision(obj))
    request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    _subject(request.subject, page)
    _names(request, page)


def decision(obj: Object) -> str:
    """`Approved,Issued`: a refusal counts more than an approval."""
    state = obj.get("status") or {}
    types = {condition["type"] for condition in state.get("conditions") or []}
    decided = next((word for word in ("Denied", "Approved") if word in types), "Pending")
    failed = ",Failed" if "Failed" in types else ""
    return f"{decided}{failed}{',Issued' if state.get('certificate') else ''}"


def _subject(subject: x509.Name, page: Page) -> None:
    page.write(0, "Subject:")
    for title, oid in (("Common Name", NameOID.COMMON_NAME), ("Serial Number", NameOID.SERIAL_NUMBER)):
        page.write(0, "", f"{title}:", (_values(subject, oid) or [""])[-1])
    for title, oid in SUBJECT.items():
        _listed(page, title, _values(subject, oid))


def _values(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]


def _names(request: x509.CertificateSigningRequest, page: Page) -> None:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    page.write(0, "Subject Alternative Names:")
    _listed(page, "DNS Names", names.get_values_for_type(x509.DNSName))
    _listed(page, "Email Addresses", names.get_values_for_type(x509.RFC822Name))
    _listed(page, "URIs", names.get_values_for_type(x509.UniformResourceIdentifier))
    addresses = names.get_values_for_type(x509.IPAddress)
    _listed(page, "IP Addresses", [str(address) for address in addresses])


def _listed(page: Page, title: str, values: Sequence[str]) -> None:
    for at, value in enumerate(values):
        page.write(0, "", "" if at else f"{title}:", value)
