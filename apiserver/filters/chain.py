"""The ordered list of filters: read it as the life of a request."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authentication.authenticator import Authenticator
from apiserver.authorization.authorizer import Authorizers
from apiserver.filters.audit import Audit, AuditLog
from apiserver.filters.authentication import Authentication
from apiserver.filters.authorization import Authorization
from apiserver.filters.browsers import Cors, StrictTransport
from apiserver.filters.deadline import Deadline
from apiserver.filters.draining import Draining, Shutdown
from apiserver.filters.errors import Errors
from apiserver.filters.fairness import Fairness
from apiserver.filters.impersonation import Impersonation
from apiserver.filters.in_flight import InFlight
from apiserver.filters.metrics import Metrics
from apiserver.filters.priority_levels import PriorityLevels
from apiserver.filters.protobuf_answers import ProtobufAnswers
from apiserver.filters.read_request_info import ReadRequestInfo
from apiserver.filters.request_log import RequestLog, is_wanted
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App


def build_chain(
    app: App,
    *,
    authenticator: Authenticator,
    authorizer: Authorizers,
    clock: Clock,
    request_timeout: float = 60.0,
    audit: AuditLog | None = None,
    priority_levels: PriorityLevels | None = None,
    in_flight: tuple[int, int] | None = None,
    origins: Sequence[str] = (),
    directives: Sequence[str] = (),
    shutdown: Shutdown | None = None,
) -> App:
    """Put the filters around an application; the first below is the first that a request meets."""
    inner: App = Authorization(app, authorizer)  # 403
    if priority_levels is not None:
        inner = Fairness(inner, priority_levels)  # 429
    elif in_flight is not None:
        inner = InFlight(inner, *in_flight)  # 429 as well
    inner = Impersonation(inner, authorizer)
    if audit is not None:
        inner = Audit(inner, audit)
    inner = Authentication(inner, authenticator, audit)  # 401
    if origins:
        inner = Cors(inner, origins)
    inner = Deadline(inner, request_timeout)  # 504
    inner = Errors(inner)  # an exception becomes a Status
    inner = ProtobufAnswers(inner)
    inner = Metrics(inner, clock)
    if shutdown is not None:
        inner = Draining(inner, shutdown)
    if directives:
        inner = StrictTransport(inner, directives)
    if is_wanted():
        inner = RequestLog(inner, clock)  # -v=3
    return ReadRequestInfo(inner, clock)  # URL -> verb, resource, name
