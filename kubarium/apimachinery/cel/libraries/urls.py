"""URLs.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-url-library
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class
from kubarium.apimachinery.schema.formats import FORMATS

register_class("url", SplitResult)


def _parse_url(text: str) -> SplitResult | None:
    if not FORMATS["uri"](text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


@function("isURL | string -> bool")
def _is_url(text: str) -> bool:
    return _parse_url(text) is not None


@function("url | string -> url", cost=by_length)
def _url(text: str) -> SplitResult:
    parts = _parse_url(text)
    if parts is None:
        raise EvaluationError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        )
    return parts


@function("url.getScheme | -> string")
def _scheme(url: SplitResult) -> str:
    return url.scheme


@function("url.getHost | -> string")
def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


@function("url.getHostname | -> string")
def _hostname(url: SplitResult) -> str:
    host = _host(url)
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


@function("url.getPort | -> string")
def _port(url: SplitResult) -> str:
    return str(url.port) if url.port is not None else ""


@function("url.getEscapedPath | -> string")
def _path(url: SplitResult) -> str:
    return quote(url.path, safe="/%:@!$&'()*+,;=~-._")


@function("url.getQuery | -> map(string, list(string))")
def _query(url: SplitResult) -> dict[str, list[str]]:
    return parse_qs(url.query, keep_blank_values=True)
