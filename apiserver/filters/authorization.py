"""May they? If nobody allows it: 403."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from apiserver.authorization.authorizer import Authorizers, Verdict, forbidden
from apiserver.request import CONTEXT, RequestContext, RequestInfo
from kubarium.apimachinery import errors
from kubarium.component_base.serving import App, Receive, Scope, Send

SETTLING_SECONDS = 5.0  # how long a refusal is put off after the start
DECISION, REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"
_STREAMS = frozenset({"exec", "attach", "portforward"})


class Authorization:
    """Asks the authorizers, in order."""

    def __init__(self, app: App, authorizer: Authorizers) -> None:
        self._app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        await self._check(context, context.info)
        if (
            context.info.verb == "get"
            and context.info.subresource in _STREAMS
            and context.info.resource == "pods"
        ):
            # A stream over WebSocket arrives as GET, but does what POST does (KEP-4006).
            await self._check(context, dataclasses.replace(context.info, verb="create"))
        await self._app(scope, receive, send)

    async def _check(self, context: RequestContext, info: RequestInfo) -> None:
        authorizer, user = self._authorizer, context.user
        verdict = (
            await authorizer.decide(user, info) if authorizer.remote else authorizer.authorize(user, info)
        )
        if not verdict.allowed and not authorizer.settled.is_set():
            # A server that has just started does not know the roles yet: better late than wrong.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLING_SECONDS):
                    await authorizer.settled.wait()
            verdict = await authorizer.decide(user, info)
        if context.on_object is not None:  # the request is audited
            self._note(context, info, verdict)
        if verdict.error and not verdict.allowed:
            raise errors.InternalError(f'Internal Server Error: "{info.path}": {verdict.error}')
        if not verdict.allowed:
            raise forbidden(user, info, verdict.reason)

    def _note(self, context: RequestContext, info: RequestInfo, verdict: Verdict) -> None:
        notes = context.audit_annotations
        if verdict.error and not verdict.allowed:
            notes[REASON] = "internal error"
        else:
            notes[DECISION] = "allow" if verdict.allowed else "forbid"
            notes[REASON] = self._authorizer.explain(context.user, info, verdict)
