"""Who did what, when: one JSON line per stage of a request, as much as the policy wants.

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import yaml

from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext, User
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object
from kubarium.component_base.serving import App, Receive, Scope, Send

NONE, METADATA, REQUEST, REQUEST_RESPONSE = "None", "Metadata", "Request", "RequestResponse"
MAX_BODY = 1 << 20  # bytes of a body that are kept for the log


@dataclass(frozen=True, slots=True)
class Rule:
    """What to log of which requests: one rule of an audit `Policy`."""

    level: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Mapping[str, Any], ...] = ()
    paths: tuple[str, ...] = ()
    omitted_stages: frozenset[str] = frozenset()

    def matches(self, context: RequestContext) -> bool:
        """Is the request one of these?"""
        info, user = context.info, context.user
        if self.users and user.name not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(user.groups):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if not info.is_resource:
            return (
                not self.resources and not self.namespaces and (not self.paths or self._names_path(info.path))
            )
        if self.paths or (self.namespaces and info.namespace not in self.namespaces):
            return False
        return not self.resources or any(self._names_resource(one, context) for one in self.resources)

    def _names_path(self, path: str) -> bool:
        return any(
            one in ("*", path) or (one.endswith("*") and path.startswith(one[:-1])) for one in self.paths
        )

    @staticmethod
    def _names_resource(entry: Mapping[str, Any], context: RequestContext) -> bool:
        info = context.info
        if (entry.get("group") or "") != info.group:
            return False
        full = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        wanted = entry.get("resources") or ["*"]
        candidates = {full, "*", f"{info.resource}/*", f"*/{info.subresource}" if info.subresource else full}
        if candidates.isdisjoint(wanted):
            return False
        names = entry.get("resourceNames")
        return not names or info.name in names


@dataclass(frozen=True, slots=True)
class Policy:
    """The first rule that matches decides."""

    rules: tuple[Rule, ...]
    omitted_stages: frozenset[str] = frozenset()

    def rule_for(self, context: RequestContext) -> Rule | None:
        """The rule for a request; None if nothing is logged."""
        found = next((rule for rule in self.rules if rule.matches(context)), None)
        return None if found is None or found.level == NONE else found


def load_policy(path: str) -> Policy:
    """Read an audit policy file."""
    body = yaml.safe_load(Path(path).read_text())
    return policy_of(body)


def policy_of(body: Object) -> Policy:
    """An audit `Policy` object, understood. Raises ValueError if it is none."""
    if body.get("kind") != "Policy" or not str(body.get("apiVersion", "")).startswith("audit.k8s.io/"):
        raise ValueError("an audit policy has kind Policy and apiVersion audit.k8s.io/v1")
    rules = tuple(_rule_of(rule) for rule in body.get("rules") or ())
    if not rules:
        raise ValueError("loaded illegal policy with 0 rules")
    return Policy(rules, frozenset(body.get("omitStages") or ()))


def _rule_of(rule: Object) -> Rule:
    if rule.get("level") not in (NONE, METADATA, REQUEST, REQUEST_RESPONSE):
        raise ValueError(f"unknown audit level {rule.get('level')!r}")
    return Rule(
        rule["level"],
        frozenset(rule.get("users") or ()),
        frozenset(rule.get("userGroups") or ()),
        frozenset(rule.get("verbs") or ()),
        frozenset(rule.get("namespaces") or ()),
        tuple(rule.get("resources") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
        frozenset(rule.get("omitStages") or ()),
    )


class Sink(Protocol):
    """Takes lines."""

    def write(self, line: bytes, /) -> object:
        """Keep a line."""
        ...


class AuditLog:
    """Writes events, one line each."""

    def __init__(self, policy: Policy, sink: Sink) -> None:
        self.policy = policy
        self._sink = sink

    def write(self, event: Object) -> None:
        """Keep one event."""
        self._sink.write(orjson.dumps(event) + b"\n")


class Audit:
    """Logs the stages of each request that the policy wants to know of."""

    def __init__(self, app: App, log: AuditLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        rule = self._log.policy.rule_for(context)
        if rule is None:
            await self._app(scope, receive, send)
            return
        record = _Record(self._log, rule, context, scope)
        record.stage("RequestReceived")
        try:
            await self._app(scope, record.reading(receive), record.writing(send))
        except errors.StatusError as error:
            record.code, record.status = error.code, error.status()
            raise
        except Exception as error:
            record.code, record.status = 500, errors.InternalError.because(error).status()
            record.stage("Panic")
            raise
        finally:
            record.stage("ResponseComplete")


class _Record:
    """One request while it is under way."""

    def __init__(self, log: AuditLog, rule: Rule, context: RequestContext, scope: Scope) -> None:
        self._log, self._rule, self._context, self._scope = log, rule, context, scope
        self._received = context.clock.now()
        self._request = bytearray()
        self._response = bytearray()
        self.code = 0
        self.status: Object | None = None

    def reading(self, receive: Receive) -> Receive:
        """`receive`, remembering the body if the level asks for it."""
        if self._rule.level == METADATA:
            return receive

        async def recording() -> MutableMapping[str, Any]:
            message = await receive()
            if len(self._request) < MAX_BODY:
                self._request += message.get("body") or b""
            return message

        return recording

    def writing(self, send: Send) -> Send:
        """`send`, remembering the status and, if the level asks for it, the body."""
        bodies = self._rule.level == REQUEST_RESPONSE and not is_long_running(self._context.info)

        async def recording(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.code = message["status"]
                if is_long_running(self._context.info):
                    self.stage("ResponseStarted")
            elif bodies and len(self._response) < MAX_BODY:
                self._response += message.get("body") or b""
            await send(message)

        return recording

    def stage(self, stage: str) -> None:
        """Write a line, unless the policy omits the stage."""
        if stage in self._rule.omitted_stages or stage in self._log.policy.omitted_stages:
            return
        self._log.write(self._event(stage))

    def _event(self, stage: str) -> Object:
        context, scope = self._context, self._scope
        query = scope.get("query_string") or b""
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self._rule.level,
            "auditID": context.audit_id,
            "stage": stage,
            "requestURI": scope["path"] + (f"?{query.decode('latin-1')}" if query else ""),
            "verb": context.info.verb,
            "user": _user(context.impersonated_by or context.user),
            "sourceIPs": [context.source_ip],
            "userAgent": context.user_agent,
            "requestReceivedTimestamp": time.format_micro_time(self._received),
            "stageTimestamp": time.format_micro_time(context.clock.now()),
        }
        if context.impersonated_by is not None:
            event["impersonatedUser"] = _user(context.user)
        if context.info.is_resource:
            event["objectRef"] = _reference(context)
        if stage != "RequestReceived":
            event["responseStatus"] = {"metadata": {}, **(_brief(self.status) or {}), "code": self.code}
            _attach(event, "requestObject", bytes(self._request))
            _attach(event, "responseObject", bytes(self._response))
            if context.audit_annotations:
                event["annotations"] = dict(context.audit_annotations)
        return event


def _attach(event: Object, key: str, body: bytes) -> None:
    if not body:
        return
    try:
        event[key] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return  # YAML, protobuf or cut off: upstream logs decoded objects only


def _brief(status: Object | None) -> Object | None:
    if status is None:
        return None
    return {key: status[key] for key in ("status", "message", "reason", "details") if key in status}


def _user(user: User) -> Object:
    found: Object = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


def _reference(context: RequestContext) -> Object:
    info = context.info
    pairs: Sequence[tuple[str, str]] = (
        ("resource", info.resource), ("namespace", info.namespace), ("name", info.name),
        ("apiGroup", info.group), ("apiVersion", info.version), ("subresource", info.subresource),
    )  # fmt: skip
    return {key: value for key, value in pairs if value}
