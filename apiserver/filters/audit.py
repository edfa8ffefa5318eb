"""Who did what, when: one event per stage of a request, as much as the policy wants.

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import orjson
import yaml

from apiserver.filters.audit_backends import Backend
from apiserver.filters.audit_policy import (
    COMPLETE,
    METADATA,
    PANIC,
    RECEIVED,
    REQUEST_RESPONSE,
    STARTED,
    Policy,
    Rule,
)
from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext, User
from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object
from kubarium.component_base.metrics import Counts
from kubarium.component_base.serving import App, Receive, Scope, Send

MAX_BODY = 4 << 20  # bytes of a body that are kept for the log
EVENTS = Counts(
    "apiserver_audit_event_total", "Counter of audit events generated and sent to the audit backend.", ()
)
LEVELS = Counts(
    "apiserver_audit_level_total", "Counter of policy levels for audit events (1 per request).", ("level",)
)
REJECTED = Counts(
    "apiserver_audit_requests_rejected_total",
    "Counter of apiserver requests rejected due to an error in audit logging backend.",
    (),
)


class AuditLog:
    """Writes events to some backends; those that are `strict` may refuse the request by failing."""

    def __init__(self, policy: Policy, backends: Sequence[Backend], strict: Sequence[Backend] = ()) -> None:
        self.policy = policy
        self._backends, self._strict = backends, strict

    async def write(self, event: Object) -> bool:
        """Keep one event; False if the request must not go on."""
        EVENTS.add()
        well = True
        for backend in self._backends:
            kept = await backend.process([event])
            well = well and (kept or backend not in self._strict)
        return well

    async def run(self) -> None:
        """Send what is gathered."""
        async with asyncio.TaskGroup() as group:
            for backend in self._backends:
                group.create_task(backend.run())

    def rule_for(self, user: User | None, context: RequestContext) -> Rule | None:
        """What is to be logged of a request; None if nothing is."""
        rule = self.policy.rule_for(user, context.info)
        LEVELS.add(("None" if rule is None else rule.level,))
        return rule


class Audit:
    """Logs the stages of each request that the policy wants to know of."""

    def __init__(self, app: App, log: AuditLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        rule = self._log.rule_for(context.user, context)
        if rule is None:
            await self._app(scope, receive, send)
            return
        record = _Record(self._log, rule, context, scope)
        context.on_object = record.saw
        if not await record.stage(RECEIVED):
            REJECTED.add()
            raise errors.InternalError.because("failed to store audit event")
        last = COMPLETE
        try:
            await self._app(scope, record.reading(receive), record.writing(send))
        except errors.StatusError as error:
            record.code, record.status = error.code, error.status()
            raise
        except Exception as error:
            record.code, record.status = 500, errors.InternalError.because(error).status()
            last = PANIC
            raise
        finally:
            await record.stage(last)


async def refused(log: AuditLog, scope: Scope, attempted: Sequence[str]) -> None:
    """Log a request of somebody whom nobody knows: there is only one stage, and no user."""
    context: RequestContext = scope[CONTEXT]
    rule = log.rule_for(None, context)
    if rule is None:
        return
    record = _Record(log, rule, context, scope)
    tried = f"attempted: {', '.join(attempted)}" if attempted else "no credentials provided"
    record.code, record.status = 401, {"message": f"Authentication failed, {tried}"}
    record.anonymous = True
    await record.stage(STARTED)


class _Record:
    """One request while it is under way."""

    def __init__(self, log: AuditLog, rule: Rule, context: RequestContext, scope: Scope) -> None:
        self._log, self._rule, self._context, self._scope = log, rule, context, scope
        self._received = context.clock.now()
        self._request = bytearray()
        self._response = bytearray()
        self._object: Any = None
        self._more: dict[str, str] = {}  # about the object
        self.code = 0
        self.status: Object | None = None
        self.anonymous = False

    def saw(self, obj: Object) -> None:
        """The body has been understood, in whatever form it came."""
        metadata = obj.get("metadata") or {}
        for key in ("namespace", "name", "uid", "resourceVersion"):
            if isinstance(value := metadata.get(key), str) and value:
                self._more[key] = value
        if self._rule.level != METADATA:
            self._object = orjson.Fragment(orjson.dumps(self._bare(obj)))

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
            if message["type"] == "websocket.accept":
                self.code = 101
                await self.stage(STARTED)
            elif message["type"] == "http.response.start":
                self.code = message["status"]
                if is_long_running(self._context.info):
                    await self.stage(STARTED)
            elif bodies and len(self._response) < MAX_BODY:
                self._response += message.get("body") or b""
            await send(message)

        return recording

    async def stage(self, stage: str) -> bool:
        """Write an event, unless the policy omits the stage; False if the request must not go on."""
        return stage in self._rule.omitted_stages or await self._log.write(self._event(stage))

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
            "user": {} if self.anonymous else (context.impersonated_by or context.user).info,
        }
        if context.impersonated_by is not None:
            event["impersonatedUser"] = context.user.info
            if context.impersonation_constraint:
                constraint = context.impersonation_constraint
                event["authenticationMetadata"] = {"impersonationConstraint": constraint}
        event |= {"sourceIPs": [context.source_ip], "userAgent": context.user_agent}
        if context.info.is_resource:
            event["objectRef"] = self._reference()
        if stage != RECEIVED:
            event["responseStatus"] = {"metadata": {}, **(_brief(self.status) or {}), "code": self.code}
            self._attach(event)
        event["requestReceivedTimestamp"] = time.format_micro_time(self._received)
        event["stageTimestamp"] = time.format_micro_time(context.clock.now())
        if stage != RECEIVED and (notes := self._annotations()):
            event["annotations"] = notes
        return event

    def _annotations(self) -> dict[str, str]:
        context = self._context
        with_bodies = self._rule.level != METADATA
        return context.audit_annotations | (context.audit_annotations_of_requests if with_bodies else {})

    def _attach(self, event: Object) -> None:
        sent = self._object if self._object is not None else self._decoded(self._request)
        if sent is not None:
            event["requestObject"] = sent
        answered = self._decoded(self._response)
        if answered is None and self.status is not None and self._rule.level == REQUEST_RESPONSE:
            answered = self.status
        if answered is not None:
            event["responseObject"] = answered

    def _decoded(self, content: bytearray) -> Any:
        """What was sent as JSON or YAML (patches to apply); nothing if it is neither, or has been cut off."""
        if not content:
            return None
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            try:
                found = yaml.safe_load(bytes(content))
            except (yaml.YAMLError, ValueError):
                return None
            if not isinstance(found, dict):
                return None
        return self._bare(found)

    def _bare(self, obj: Any) -> Any:
        """The object, or the objects of a list, without managed fields if the policy wants that."""
        if not self._rule.omit_managed_fields or not isinstance(obj, dict):
            return obj
        if isinstance(items := obj.get("items"), list):
            return {**obj, "items": [self._bare(item) for item in items]}
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or "managedFields" not in metadata:
            return obj
        kept = {key: value for key, value in metadata.items() if key != "managedFields"}
        return {**obj, "metadata": kept}

    def _reference(self) -> Object:
        info, more = self._context.info, self._more
        pairs: Sequence[tuple[str, str]] = (
            ("resource", info.resource), ("namespace", info.namespace or more.get("namespace", "")),
            ("name", info.name or more.get("name", "")), ("uid", more.get("uid", "")), ("apiGroup", info.group),
            ("apiVersion", info.version), ("resourceVersion", more.get("resourceVersion", "")),
            ("subresource", info.subresource),
        )  # fmt: skip
        return {key: value for key, value in pairs if value}


def _brief(status: Object | None) -> Object | None:
    if status is None:
        return None
    return {key: status[key] for key in ("status", "message", "reason", "details") if key in status}
