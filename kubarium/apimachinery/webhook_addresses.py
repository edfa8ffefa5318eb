"""Where a webhook is, as a configuration says it: a URL or a Service, and the reviews that it understands.

Admission webhooks and conversion webhooks are told in the same words.
Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required

_FORM = "; desired format: https://host[/path]"
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
REVIEW_VERSIONS = ("v1", "v1beta1")


def url_errors(url: str, path: FieldPath) -> Iterator[FieldError]:
    """An https URL of a host and a path, and no more."""
    try:
        parts = urlsplit(url)
        problem = _go_problem(url)
    except ValueError as error:
        parts, problem = urlsplit(""), str(error)
    if problem:
        yield required(path, f'url must be a valid URL: parse "{url}": {problem}{_FORM}')
        return
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not host:
        yield invalid(path, "", f"host must be specified{_FORM}")
    if at:
        yield invalid(path, user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")


def _go_problem(url: str) -> str:
    """Why Go's parser refuses a URL that Python's takes."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in url):
        return "net/url: invalid control character in URL"
    if url.startswith(":"):
        return "missing protocol scheme"
    first = url.split("/", 1)[0]
    if ":" in first and not _SCHEME.match(first):
        return "first path segment in URL cannot contain colon"
    return ""


def service_errors(service: dict[str, Any], path: FieldPath) -> Iterator[FieldError]:
    """A Service by namespace and name, its port, and the path of the URL."""
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(path / field)
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        yield invalid(path / "port", port, "port is not valid: must be between 1 and 65535, inclusive")
    url_path = service.get("path") or "/"
    if url_path == "/":
        return
    at = path / "path"
    if url_path == "//":
        yield invalid(at, url_path, "segment[0] may not be empty")
        return
    if not url_path.startswith("/"):
        yield invalid(at, url_path, "must start with a '/'")
    for index, segment in enumerate(url_path[1:].removesuffix("/").split("/")):
        problems = names.dns_subdomain_errors(segment) if segment else []
        if not segment:
            yield invalid(at, url_path, f"segment[{index}] may not be empty")
        for problem in problems:
            yield invalid(at, url_path, f"segment[{index}]: {problem}")


def bundle_errors(bundle: str, path: FieldPath) -> Iterator[FieldError]:
    """Certificates in PEM, in base64."""
    if bundle and not _has_certificates(bundle):
        yield invalid(path, bundle, "unable to load root certificates: unable to parse bytes as PEM block")


def _has_certificates(bundle: str) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(base64.b64decode(bundle)))
    except (ValueError, binascii.Error):
        return False


def review_version_errors(
    versions: Sequence[str], path: FieldPath, *, recognized: bool = True
) -> Iterator[FieldError]:
    """Different versions, one of them known to this server; without `recognized` none need be."""
    if not versions:
        yield required(path)
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(path % index, version, "duplicate version")
            continue
        for problem in names.dns_1035_errors(version):
            yield invalid(path % index, version, problem)
    if recognized and not set(versions) & set(REVIEW_VERSIONS):
        yield invalid(path, list(versions), f"must include at least one of {', '.join(REVIEW_VERSIONS)}")
