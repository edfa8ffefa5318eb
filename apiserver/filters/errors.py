"""Any exception becomes a `Status` answer; nothing else catches broadly on the way of a request."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import orjson

from apiserver.request import CONTEXT, wants_pretty
from apiserver.storage.interface import CannotSeal
from apiserver.storage.stored import Unreadable
from kubarium.apimachinery import errors
from kubarium.component_base import logging
from kubarium.component_base.serving import App, Receive, Scope, Send

log = logging.get(__name__)


class Errors:
    """Answers with what went wrong, unless the answer has begun already."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except errors.StatusError as error:
            await self._answer(scope, send, error, began)
        except (CannotSeal, Unreadable) as error:
            # Nothing is wrong here, and whoever reads thousands of them wants no traceback of each.
            log.error("%s %s failed: %s", scope.get("method", "WebSocket"), scope["path"], error)
            await self._answer(scope, send, errors.InternalError.because(error), began)
        except Exception as error:
            log.exception("%s %s failed", scope.get("method", "WebSocket"), scope["path"])
            await self._answer(scope, send, errors.InternalError.because(error), began)

    async def _answer(self, scope: Scope, send: Send, error: errors.StatusError, began: bool) -> None:
        if began:
            # The client sees a cut stream, as it must: there is no way to take back a status line.
            context = scope.get(CONTEXT)
            log.warning("answer to %s broke off: %s", context.info.path if context else scope["path"], error)
            return
        option = None
        if context := scope.get(CONTEXT):
            context.translated = True
            option = orjson.OPT_INDENT_2 if wants_pretty(context) else None
        body = error.plain_text.encode() or orjson.dumps(error.status(), option=option) + b"\n"
        media_type = b"text/plain; charset=utf-8" if error.plain_text else b"application/json"
        headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        if error.plain_text:
            headers.append((b"x-content-type-options", b"nosniff"))
        if error.retry_after:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        if scope["type"] == "websocket" and kind not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})
            return
        await send({"type": f"{kind}.start", "status": error.code, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})
