"""What is known about a request before anyone acts on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qs

from kubarium.apimachinery import fields
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Groups as the authenticator gave them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def info(self) -> Object:
        """A UserInfo, as reviews and the audit log show it."""
        extra = {key: list(values) for key, values in self.extra.items()}
        more = {"uid": self.uid, "groups": list(self.groups), "extra": extra}
        return {"username": self.name, **{key: value for key, value in more.items() if value}}


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
LOOPBACK = User("system:apiserver", groups=("system:masters",))
"""The API server asking itself, over `client/loopback.py`."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A URL and a method, understood.

    For `/api/v1/namespaces/default/pods/web/log`: verb `get`, version `v1`, namespace `default`, resource `pods`,
    name `web`, subresource `log`. Paths that are no resources have only a verb (the method in lower case) and a path.
    """

    path: str
    verb: str
    is_resource: bool = False
    api_prefix: str = ""  # "api" or "apis"
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()  # what follows the subresource, for proxies
    gap: bool = (
        False  # `/namespaces//pods` (those of all), `/nodes//status`: no namespace or no name in its place
    )
    label_selector: str = ""  # of list, watch and deletecollection; for authorizers
    field_selector: str = ""


@dataclass(slots=True)
class RequestContext:
    """What the filters found out, carried down to storage."""

    info: RequestInfo
    user: User
    clock: Clock
    query: Mapping[str, list[str]] = field(default_factory=dict)
    user_agent: str = ""
    source_ip: str = ""
    audit_id: str = ""
    dry_run: bool = False
    deprecated: bool = False  # the API that was asked for will go away
    only_protobuf: bool = False  # the client accepts nothing else
    translated: bool = False  # the answer is JSON that becomes what the client accepts
    field_manager: str = ""
    field_validation: str = "Warn"  # Strict, Warn or Ignore
    impersonated_by: User | None = None
    impersonation_constraint: str = ""  # the verb that allowed it, if not the old one
    warnings: list[str] = field(default_factory=list)  # become `Warning:` headers
    audit_annotations: dict[str, str] = field(default_factory=dict)
    audit_annotations_of_requests: dict[str, str] = field(default_factory=dict)  # told where bodies are told
    on_object: Callable[[Object], None] | None = None  # to be called with the decoded body: it is audited
    waited: float = 0.0  # seconds in queues and for webhooks: what others took
    begun: Callable[[], None] = lambda: None  # to be called when a watch has told what is there

    def warn(self, text: str) -> None:
        """Tell the client something it should know although the request succeeds."""
        if text not in self.warnings:
            self.warnings.append(text)


@lru_cache(maxsize=256)
def accepts_only_protobuf(accept: bytes) -> bool:
    """Does an Accept header name Kubernetes' protobuf, and nothing that people could read?"""
    found = set()
    for clause in accept.decode("latin-1").split(","):
        media_type, *parameters = (part.strip().lower() for part in clause.split(";"))
        if not {"q=0", "q=0.0"} & set(parameters):
            found.add(media_type)
    return _PROTOBUF in found and found.isdisjoint(_READABLE)


_PROTOBUF = "application/vnd.kubernetes.protobuf"
_READABLE = ("application/json", "application/yaml", "application/*", "*/*")

CONTEXT = "kubarium.request"
"""Where a filter finds the `RequestContext` in an ASGI scope."""

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_WATCH_IN_PATH, _PROXY_IN_PATH = "watch", "proxy"  # /api/v1/watch/pods: the older form of ?watch=1


def parse_query(query_string: bytes) -> dict[str, list[str]]:
    """The query of a URL; empty values count."""
    if not query_string:
        return {}
    if b";" in query_string or (b"%" in query_string and BAD_ESCAPE.search(query_string)):
        # Go's parser leaves such pairs out.
        pairs = query_string.split(b"&")
        query_string = b"&".join(pair for pair in pairs if b";" not in pair and not BAD_ESCAPE.search(pair))
    return parse_qs(query_string.decode("utf-8", "replace"), keep_blank_values=True)


def first(query: Mapping[str, list[str]], key: str) -> str:
    """The first value of a query parameter, or nothing."""
    values = query.get(key)
    return values[0] if values else ""


def is_true(query: Mapping[str, list[str]], key: str) -> bool:
    """Is a boolean query parameter set? A bare `?watch` counts as true."""
    values = query.get(key)
    return values is not None and values[:1] != [] and values[0].lower() not in ("0", "false")


_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")  # whoever reads with bare eyes


def wants_pretty(context: RequestContext) -> bool:
    """Is the answer for people? `?pretty=1` says so, or what the client calls itself."""
    if context.query:
        asked = first(context.query, "pretty")
        if asked or "pretty" in context.query:
            return asked not in ("0", "false")
    return context.user_agent.startswith(_PRETTY_AGENTS)


def parse_request(method: str, path: str, query: Mapping[str, list[str]]) -> RequestInfo:
    """Understand a URL and a method, by the rules of upstream's `RequestInfoFactory`."""
    parts = path.strip("/").split("/")
    plain = RequestInfo(path, method.lower())
    if len(parts) < 3 or parts[0] not in ("api", "apis") or path.startswith("//"):
        return plain
    prefix, *parts = parts
    group = ""
    if prefix == "apis":
        if len(parts) < 3:
            return plain
        group, *parts = parts
    version, *parts = parts
    verb = _VERBS.get(method, "")
    if parts[0] in (_WATCH_IN_PATH, _PROXY_IN_PATH):
        verb, *parts = parts
        if not parts:
            return plain
    namespace = ""
    gap = "" in parts[1:2]
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
            gap = gap or "" in parts[1:2]
    resource = parts[0]
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 and verb != _PROXY_IN_PATH else ""
    rest = (
        [] if subresource == _PROXY_IN_PATH else parts[2:]
    )  # what a proxy passes on may have gaps of its own
    if "//" in path and "" in (prefix if prefix == "api" else group, version, resource, *rest):
        return plain
    if not name:
        verb = _verb_of_many(verb, query)
    label_selector = field_selector = ""
    if verb in ("list", "watch", "deletecollection"):
        label_selector, field_selector = first(query, "labelSelector"), first(query, "fieldSelector")
        name = name or _name_demanded(field_selector)
    return RequestInfo(
        path, verb, True, prefix, group, version, namespace, resource, subresource, name, tuple(parts[3:]),
        gap, label_selector, field_selector,
    )  # fmt: skip


def _verb_of_many(verb: str, query: Mapping[str, list[str]]) -> str:
    if verb == "get":
        return "watch" if is_true(query, "watch") else "list"
    return "deletecollection" if verb == "delete" else verb


def _name_demanded(field_selector: str) -> str:
    """A list restricted to one name is authorised like a get of that name."""
    if "metadata.name" not in field_selector:
        return ""
    try:
        return fields.parse(field_selector).exact("metadata.name") or ""
    except fields.ParseError:
        return ""
