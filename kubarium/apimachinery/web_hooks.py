"""Where a web hook answers: what an address or a reference to a service must be.

The wording is that of `k8s.io/apiserver/pkg/util/webhook`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required
from kubarium.apimachinery.object import Object

_FORM = "; desired format: https://host[/path]"


def url_errors(url: str, path: FieldPath) -> list[FieldError]:
    """HTTPS, a host, and nothing but a path behind it."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [required(path, f"url must be a valid URL: {error}{_FORM}")]
    found: list[FieldError] = []
    if parts.scheme != "https":
        found.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, at, host = parts.netloc.rpartition("@")
    if not host:
        found.append(invalid(path, host, f"host must be specified{_FORM}"))
    if at:
        found.append(invalid(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        found.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        found.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return found


def service_errors(service: Object, path: FieldPath) -> list[FieldError]:
    """A name, a namespace, a port, a path of plain segments."""
    found = [required(path / field) for field in ("name", "namespace") if not service.get(field)]
    port = service.get("port") or 0
    if not 1 <= port <= 65535:
        why = "port is not valid: must be between 1 and 65535, inclusive"
        found.append(invalid(path / "port", port, why))
    return found + _path_errors(service.get("path") or "", path / "path")


def _path_errors(text: str, path: FieldPath) -> list[FieldError]:
    if text in ("", "/"):
        return []
    if text == "//":
        return [invalid(path, text, "segment[0] may not be empty")]
    found = [] if text.startswith("/") else [invalid(path, text, "must start with a '/'")]
    for index, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            found.append(invalid(path, text, f"segment[{index}] may not be empty"))
            continue
        problems = names.dns_subdomain_errors(segment)
        found += [invalid(path, text, f"segment[{index}]: {problem}") for problem in problems]
    return found
