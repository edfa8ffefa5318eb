"""Who is asking? Nobody knows: 401."""

from __future__ import annotations

import base64

from apiserver.authentication.authenticator import Authenticator, Credentials
from apiserver.filters.audit import AuditLog, refused
from apiserver.request import ANONYMOUS, CONTEXT, RequestContext, User
from kubarium.apimachinery import errors
from kubarium.component_base.metrics import Counts
from kubarium.component_base.serving import App, Receive, Scope, Send

USER = "kubarium.user"
"""The scope key under which a caller in this process (`client/loopback.py`) says who it is."""

_SUBPROTOCOL_TOKEN = "base64url.bearer.authorization.k8s.io."
_USERS = Counts(
    "authenticated_user_requests", "Counter of authenticated requests broken out by username.", ("username",)
)
_ATTEMPTS = Counts("authentication_attempts", "Counter of authenticated attempts.", ("result",))
_RECOGNISED = _ATTEMPTS.of(("success",))
_SHOWN_USERS = frozenset({
    "admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default",
})  # fmt: skip
_SECRET_HEADERS = frozenset({b"authorization"})


class Authentication:
    """Asks the authenticators and notes the user."""

    def __init__(self, app: App, authenticator: Authenticator, audit: AuditLog | None = None) -> None:
        self._app = app
        self._authenticator = authenticator
        self._audit = audit  # for those whom nobody knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        known: User | None = scope.get(USER)
        if known is None:
            credentials = credentials_of(scope, context.source_ip)
            known = await self._recognised(scope, credentials)
            if "authorization" in credentials.headers:
                # The proof was meant for us; whatever we proxy to must not see it.
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _SECRET_HEADERS]
        context.user = known
        await self._app(scope, receive, send)

    async def _recognised(self, scope: Scope, credentials: Credentials) -> User:
        known: User | None = ANONYMOUS  # as long as nobody has said otherwise
        try:
            known = await self._authenticator.authenticate(credentials)
            if known is None:
                raise errors.Unauthorized()
        except errors.Unauthorized:
            _ATTEMPTS.add(("failure" if known is None else "error",))
            if self._audit is not None:
                await refused(self._audit, scope, _attempted(credentials))
            raise
        _RECOGNISED.value += 1
        _USERS.add((_sort_of(known.name),))
        return known


def _sort_of(name: str) -> str:
    """A user's name as metrics may show it."""
    if name in _SHOWN_USERS:
        return name
    return "email_id" if "@" in name else "other"


def _attempted(credentials: Credentials) -> list[str]:
    """How somebody tried to prove who it is."""
    header = credentials.headers.get("authorization", "").lower()
    found = [name for name in ("basic", "bearer") if header.startswith(f"{name} ")]
    return [*found, "x509"] if credentials.client_certificate is not None else found


def credentials_of(scope: Scope, source_ip: str = "") -> Credentials:
    """What a connection and a request offer as proof. The server's protocol puts the certificate into `state`."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}\0{value}" if name in headers else value
    if "sec-websocket-protocol" in headers and "authorization" not in headers:
        offered = headers["sec-websocket-protocol"].replace("\0", ",").split(",")
        if token := _token_of_subprotocols([text.strip() for text in offered]):
            headers["authorization"] = f"Bearer {token}"
            _withdraw_token(scope)
    state = scope.get("state") or {}
    path: str = scope.get("path", "")
    return Credentials(headers, state.get("client_cert"), state.get("client_cert_der"), source_ip, path)


def _withdraw_token(scope: Scope) -> None:
    """The token is no protocol that the other end could choose, and none of its business."""
    kept = []
    for name, value in scope["headers"]:
        if name == b"sec-websocket-protocol":
            offered = [text for text in value.split(b",") if _SUBPROTOCOL_TOKEN.encode() not in text]
            value = b",".join(offered).strip()
        kept.append((name, value))
    scope["headers"] = kept


def _token_of_subprotocols(subprotocols: list[str]) -> str:
    """Browsers cannot set headers on WebSockets: they offer the token as one more subprotocol."""
    for offered in subprotocols:
        if offered.startswith(_SUBPROTOCOL_TOKEN):
            encoded = offered.removeprefix(_SUBPROTOCOL_TOKEN)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except ValueError:
                raise errors.Unauthorized() from None
    return ""
