"""Ask a remote SubjectAccessReview: `--authorization-webhook-config-file`."""

from __future__ import annotations

from apiserver.authorization.authorizer import ALLOWED, NO_OPINION, Decision, Verdict
from apiserver.request import RequestInfo, User
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

_MAX_ANSWERS = 10_000


class AuthorizationWebhook:
    """Asks, and remembers answers for a while."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        path: str = "/",
        version: str = "v1",
        *,
        authorized_seconds: float = 300.0,
        unauthorized_seconds: float = 30.0,
    ) -> None:
        self._client = client
        self._clock = clock
        self._path = path or "/"
        self._version = f"authorization.k8s.io/{version}"
        self._ttl = {True: authorized_seconds, False: unauthorized_seconds}
        self._known: dict[tuple[object, ...], tuple[Verdict, float]] = {}

    async def decide(self, user: User, info: RequestInfo) -> Verdict:
        """What the webhook says; no opinion if it does not answer."""
        key = (user.name, user.groups, info)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        review = {"kind": "SubjectAccessReview", "apiVersion": self._version, "spec": _question(user, info)}
        try:
            answer = await self._client.request("POST", self._path, body=review)
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.warning("the authorization webhook does not answer: %s", error)
            return NO_OPINION
        verdict = _verdict(answer.get("status") or {})
        if len(self._known) >= _MAX_ANSWERS:
            self._known.clear()
        self._known[key] = (verdict, self._clock.monotonic() + self._ttl[verdict.allowed])
        return verdict


def _verdict(status: Object) -> Verdict:
    if status.get("allowed"):
        return ALLOWED
    decision = Decision.DENY if status.get("denied") else Decision.NO_OPINION
    return Verdict(decision, status.get("reason") or "")


def _question(user: User, info: RequestInfo) -> Object:
    spec: Object = {"user": user.name, "groups": list(user.groups)}
    if user.uid:
        spec["uid"] = user.uid
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if not info.is_resource:
        return {**spec, "nonResourceAttributes": {"path": info.path, "verb": info.verb}}
    asked = {"namespace": info.namespace, "verb": info.verb, "group": info.group, "version": info.version,
             "resource": info.resource, "subresource": info.subresource, "name": info.name}  # fmt: skip
    return {**spec, "resourceAttributes": {key: value for key, value in asked.items() if value}}
