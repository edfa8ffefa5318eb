"""Somebody else is asked whether the images of a pod may run. Off unless asked for.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#imagepolicywebhook
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.configuration import ConfigurationError, remote
from kubarium.api.core.pod import containers
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

API_VERSION = "imagepolicy.k8s.io/v1alpha1"
FAILED_OPEN = "alpha.image-policy.k8s.io/failed-open"
_ANNOTATIONS = ".image-policy.k8s.io/"
_AUDIT = "imagepolicywebhook.image-policy.k8s.io/"
_DEFAULT_SECONDS = 300.0
_MAX_ANSWERS = 1024


class ImagePolicyWebhook(AdmissionPlugin):
    """Sends an ImageReview and goes by the answer."""

    name = "ImagePolicyWebhook"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    def __init__(self, clock: Clock, configuration: Object | None = None) -> None:
        """Raises ConfigurationError."""
        given = (configuration or {}).get("imagePolicy") or {}
        if not given.get("kubeConfigFile"):
            raise ConfigurationError("no config specified for ImagePolicyWebhook")
        self._clock = clock
        self._client, self._path = remote(given["kubeConfigFile"])
        self._seconds = {
            True: given.get("allowTTL") or _DEFAULT_SECONDS,
            False: given.get("denyTTL") or _DEFAULT_SECONDS,
        }
        self._default_allow = bool(given.get("defaultAllow"))
        self._known: dict[bytes, tuple[Object, float]] = {}

    async def validate(self, attributes: Attributes) -> None:
        """Ask about new pods, new images and new ephemeral containers."""
        if attributes.subresource not in ("", "ephemeralcontainers") or _same_images(attributes):
            return
        if attributes.operation == UPDATE and attributes.old is None:
            return
        try:
            status = await self._review(_spec(attributes))
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            self._failed(attributes, error)
            return
        for key, text in (status.get("auditAnnotations") or {}).items():
            attributes.context.audit_annotations[_AUDIT + key] = text
        if not status.get("allowed"):
            reason = status.get("reason")
            raise attributes.forbidden(
                f"image policy webhook backend denied one or more images: {reason}"
                if reason
                else "one or more images rejected by webhook backend"
            )

    async def _review(self, spec: Object) -> Object:
        key = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        review = {"apiVersion": API_VERSION, "kind": "ImageReview", "spec": spec}
        answer: Any = await self._client.request("POST", self._path or "/", body=review)
        status: Object = answer.get("status") or {} if isinstance(answer, dict) else {}
        if len(self._known) >= _MAX_ANSWERS:
            self._known.clear()
        seconds = self._seconds[bool(status.get("allowed"))]
        self._known[key] = (status, self._clock.monotonic() + seconds)
        return status

    def _failed(self, attributes: Attributes, error: BaseException) -> None:
        log.warning("the image policy webhook does not answer: %s", error)
        if not self._default_allow:
            raise attributes.forbidden(str(error) or type(error).__name__)
        attributes.context.audit_annotations[_AUDIT + "failed-open"] = "true"
        attributes.new["metadata"].setdefault("annotations", {})[FAILED_OPEN] = "true"


def _spec(attributes: Attributes) -> Object:
    pod = attributes.new
    annotations = pod["metadata"].get("annotations") or {}
    concerned = {key: text for key, text in annotations.items() if _ANNOTATIONS in key}
    images = [{"image": container.get("image") or ""} for container in containers.all_containers(pod)]
    spec: Object = {"containers": images, "namespace": attributes.namespace}
    return {**spec, "annotations": concerned} if concerned else spec


def _same_images(attributes: Attributes) -> bool:
    if attributes.old is None:
        return False
    new, old = (
        [container.get("image") for container in containers.all_containers(pod)]
        for pod in (attributes.new, attributes.old)
    )
    return new == old
