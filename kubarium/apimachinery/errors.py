"""Every way in which a request can fail, and the `Status` that says so.

    StatusError
    ├── BadRequest                400  BadRequest
    ├── Unauthorized              401  Unauthorized
    ├── Forbidden                 403  Forbidden
    ├── NotFound                  404  NotFound
    ├── MethodNotAllowed          405  MethodNotAllowed
    ├── NotAcceptable             406  NotAcceptable
    ├── AlreadyExists             409  AlreadyExists
    ├── Conflict                  409  Conflict
    ├── Gone, Expired             410  Gone, Expired
    ├── RequestEntityTooLarge     413  RequestEntityTooLarge
    ├── UnsupportedMediaType      415  UnsupportedMediaType
    ├── Invalid                   422  Invalid
    ├── TooManyRequests           429  TooManyRequests
    ├── InternalError             500  InternalError
    ├── ServiceUnavailable        503  ServiceUnavailable
    ├── Timeout                   504  Timeout
    └── ServerTimeout             500  ServerTimeout

Source: the API conventions ("Response Status Kind") and `k8s.io/apimachinery/pkg/api/errors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubarium.apimachinery.field_path import FieldError
from kubarium.apimachinery.object import Object


class StatusError(Exception):
    """A failure that a client can read. `status()` is the body of the answer."""

    code = 500
    reason = ""
    plain_text = ""  # what the answer says instead of a `Status`, where upstream's does

    def __init__(
        self, message: str, details: Object | None = None, *, code: int = 0, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if code:
            self.code = code
        if reason is not None:
            self.reason = reason

    def status(self) -> Object:
        """This failure as a `Status` object."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body

    @property
    def retry_after(self) -> int:
        """Seconds after which the client may try again; 0 when nothing is said."""
        return int((self.details or {}).get("retryAfterSeconds") or 0)

    def causes(self) -> list[Object]:
        """The single causes, for `Invalid` one per field."""
        return (self.details or {}).get("causes") or []


def is_surprising(error: BaseException) -> bool:
    """Is it worth a traceback? A refusal or a lost connection explains itself."""
    return not isinstance(error, StatusError | ConnectionError | TimeoutError)


def _details(name: str = "", group: str = "", kind: str = "", **more: Any) -> Object:
    found = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in found.items() if value}


def qualified(group: str, resource: str) -> str:
    """`pods`, `deployments.apps`: how a resource is named in messages."""
    return f"{resource}.{group}" if group else resource


class BadRequest(StatusError):
    """The request makes no sense."""

    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    """Nobody vouches for the caller."""

    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(StatusError):
    """The caller may not do this, or admission refuses it."""

    code, reason = 403, "Forbidden"

    @classmethod
    def of(cls, group: str, resource: str, name: str, why: str) -> Forbidden:
        """`pods "x" is forbidden: why`."""
        where = qualified(group, resource)
        head = f'{where} "{name}" is forbidden' if name else f"{where} is forbidden"
        return cls(f"{head}: {why}", _details(name, group, resource))


class NotFound(StatusError):
    """There is no such object, or no such resource."""

    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, group: str, resource: str, name: str) -> NotFound:
        """`pods "x" not found`."""
        return cls(f'{qualified(group, resource)} "{name}" not found', _details(name, group, resource))

    @classmethod
    def page(cls) -> NotFound:
        """The group and version have no such path."""
        return cls("the server could not find the requested resource", {})


class NoSuchPath(NotFound):
    """Nobody serves the path at all: no group, no version, no page."""

    plain_text = "404 page not found\n"

    def __init__(self) -> None:
        super().__init__("the server could not find the requested resource", {})


class MethodNotAllowed(StatusError):
    """The resource exists but does not do this."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(
        self,
        message: str = "the server does not allow this method on the requested resource",
        details: Object | None = None,
    ) -> None:
        super().__init__(message, details or {})


class NotAcceptable(StatusError):
    """The server cannot answer in any form that the client accepts."""

    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    """The name is taken."""

    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, group: str, resource: str, name: str) -> AlreadyExists:
        """`pods "x" already exists`."""
        return cls(f'{qualified(group, resource)} "{name}" already exists', _details(name, group, resource))


class Conflict(StatusError):
    """Somebody else was faster, or a precondition does not hold."""

    code, reason = 409, "Conflict"

    @classmethod
    def of(cls, group: str, resource: str, name: str, why: str) -> Conflict:
        """`Operation cannot be fulfilled on pods "x": why`."""
        message = f'Operation cannot be fulfilled on {qualified(group, resource)} "{name}": {why}'
        return cls(message, _details(name, group, resource))


MODIFIED_MEANWHILE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
"""Why an update with an old resourceVersion conflicts."""


class Gone(StatusError):
    """It was here, and will not come back."""

    code, reason = 410, "Gone"


class Expired(StatusError):
    """The asked revision or continue token is too old."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(StatusError):
    """The body exceeds the limit."""

    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    """The server cannot read bodies of this content type here."""

    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    """The object breaks rules; one cause per field."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, group: str, kind: str, name: str, errors: Sequence[FieldError]) -> Invalid:
        """`Pod "x" is invalid: spec.containers: Required value`, several joined as upstream joins them."""
        summary = together(errors)
        causes = [{"reason": e.type, "message": e.body, "field": str(e.path)} for e in errors]
        kind_text = f"{kind}.{group}" if group else kind
        message = f'{kind_text} "{name}" is invalid' + (f": {summary}" if summary else "")
        return cls(message, _details(name, group, kind, causes=causes))


def together(errors: Sequence[FieldError]) -> str:
    """Several errors as one text."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""


class TooManyRequests(StatusError):
    """Not now; try again after a while."""

    code, reason = 429, "TooManyRequests"

    @classmethod
    def after(cls, seconds: int) -> TooManyRequests:
        """With the seconds to wait."""
        return cls(
            "Too many requests, please try again later.", {"retryAfterSeconds": seconds} if seconds else {}
        )


class NoRoom(TooManyRequests):
    """The server has too much to do, and says so before it has looked at what is asked."""

    plain_text = "Too many requests, please try again later.\n"


class InternalError(StatusError):
    """The server's own fault."""

    code, reason = 500, "InternalError"

    @classmethod
    def because(cls, error: BaseException | str) -> InternalError:
        """`Internal error occurred: why`."""
        return cls(f"Internal error occurred: {error}", {"causes": [{"message": str(error)}]})


class ServerTimeout(StatusError):
    """The server could not finish; trying again may help."""

    code, reason = 500, "ServerTimeout"


class ServiceUnavailable(StatusError):
    """The server, or what stands behind it, is away for a moment."""

    code, reason = 503, "ServiceUnavailable"


class NoServer(ServiceUnavailable):
    """Another server has the group, and cannot be reached."""

    plain_text = "service unavailable\n"

    def __init__(self) -> None:
        super().__init__("service unavailable")


class Timeout(StatusError):
    """The time limit of the request has passed."""

    code, reason = 504, "Timeout"


_BY_REASON: dict[str, type[StatusError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Forbidden, NotFound, NotAcceptable, AlreadyExists, Conflict, Gone, Expired,
        RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServerTimeout,
        ServiceUnavailable, Timeout, Unauthorized, MethodNotAllowed,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[StatusError]] = {
    400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 405: MethodNotAllowed, 406: NotAcceptable,
    409: Conflict, 410: Gone, 413: RequestEntityTooLarge, 415: UnsupportedMediaType, 422: Invalid,
    429: TooManyRequests, 500: InternalError, 503: ServiceUnavailable, 504: Timeout,
}  # fmt: skip


def from_status(status: Object) -> StatusError:
    """The error that a server's `Status` describes."""
    reason, code = status.get("reason") or "", int(status.get("code") or 500)
    cls = _BY_REASON.get(reason) or _BY_CODE.get(code) or StatusError
    error = cls.__new__(cls)
    StatusError.__init__(
        error, status.get("message") or reason, status.get("details"), code=code, reason=reason
    )
    return error
