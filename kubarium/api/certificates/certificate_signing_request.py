"""CertificateSigningRequest: a key pair asks a signer for a certificate.

Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import base64
import binascii

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

MIN_SECONDS = 600
MAX_SIGNER = 571  # a domain, a slash, a namespace, a dot and a name
LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
_CONDITIONS = FieldPath("status") / "conditions"


def fill_defaults(request: Object) -> None:
    """Conditions without a status are True."""
    for condition in (request.get("status") or {}).get("conditions") or []:
        if not condition.get("status"):
            condition["status"] = "True"


def validate(request: Object) -> list[FieldError]:
    """A request in PEM, usages that exist, a signer, a duration of ten minutes or more."""
    spec = request.get("spec") or {}
    found = _request_errors(spec.get("request") or "")
    usages = spec.get("usages") or []
    if not usages:
        found.append(required(SPEC / "usages"))
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            found.append(not_supported(SPEC / "usages" % index, usage, USAGES))
        if usage in usages[:index]:
            found.append(duplicate(SPEC / "usages" % index, usage))
    signer = spec.get("signerName") or ""
    if signer == LEGACY_SIGNER:
        why = "the legacy signerName is not allowed via this API version"
        found.append(invalid(SPEC / "signerName", signer, why))
    found += signer_errors(SPEC / "signerName", signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < MIN_SECONDS:
        why = f"may not specify a duration less than {MIN_SECONDS} seconds (10 minutes)"
        found.append(invalid(SPEC / "expirationSeconds", seconds, why))
    return found + condition_errors(request)


def signer_errors(path: FieldPath, signer: str) -> list[FieldError]:
    """`example.com/signer-name`."""
    if not signer:
        return [required(path)]
    domain, slash, name = signer.partition("/")
    if not slash or "/" in name:
        return [
            invalid(
                path,
                signer,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )
        ]
    found = [invalid(path, domain, text) for text in names.dns_subdomain_errors(domain)]
    if "." not in domain:
        found.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    for part in name.split("."):
        found += [invalid(path, name, text) for text in names.dns_label_errors(part)]
    if len(signer) > MAX_SIGNER:
        found.append(
            FieldError("FieldValueTooLong", path, f"Too long: may not be more than {MAX_SIGNER} bytes")
        )
    return found


def condition_errors(request: Object) -> list[FieldError]:
    """One decision, and it is final."""
    listed = (request.get("status") or {}).get("conditions") or []
    found: list[FieldError] = []
    kinds = [condition.get("type") for condition in listed]
    for index, condition in enumerate(listed):
        at = _CONDITIONS % index
        kind, status = condition.get("type") or "", condition.get("status")
        if not kind:
            found.append(required(at / "type"))
        if kind in (APPROVED, DENIED, FAILED):
            if status != "True":
                found.append(not_supported(at / "status", status, ("True",)))
        else:
            found += rules.one_of(at / "status", status, ("False", "True", "Unknown"))
        if kind in (APPROVED, DENIED) and {APPROVED, DENIED} <= set(kinds[: index + 1]):
            why = f"{APPROVED} and {DENIED} conditions are mutually exclusive"
            found.append(invalid(at / "type", kind, why))
        if kind in kinds[:index]:
            found.append(duplicate(at / "type", kind))
    return found


def _request_errors(encoded: str) -> list[FieldError]:
    at = SPEC / "request"
    if not encoded:
        return [invalid(at, "", "PEM block type must be CERTIFICATE REQUEST")]
    try:
        text = base64.b64decode(encoded)
    except binascii.Error:
        text = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in text:
        return [invalid(at, encoded, "PEM block type must be CERTIFICATE REQUEST")]
    return []
