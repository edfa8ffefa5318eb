"""Pull policy, secrets, back-off: make sure that a container's image is there, or say why it is not."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object, namespace_of, spec_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import (
    ContainerRuntimeError,
    Credentials,
    Image,
    Runtime,
    SandboxConfig,
    StartError,
)
from kubelet.runtime.restart_backoff import RestartBackoff

log = logging.get(__name__)

DEFAULT_REGISTRY = "docker.io"

Fetch = Callable[[str, str, str], Awaitable[Object | None]]


class ImagePuller:
    """One pull per image at a time; pods that want the same image wait for it together."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        fetch: Fetch,
        *,
        serialize: bool,
        parallel: int,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._fetch = fetch
        self._slots = asyncio.Semaphore(1 if serialize else parallel or 1000)
        self._backoff = RestartBackoff()
        self._failed_at: dict[str, float] = {}
        self._last_error: dict[str, str] = {}
        self._images: dict[str, Image] = {}

    def image(self, reference: str) -> Image | None:
        """What the last look at this image showed."""
        return self._images.get(reference)

    async def ensure(self, pod: Object, container: Object, sandbox: SandboxConfig) -> str:
        """The reference of a present image. Raises StartError with ErrImagePull, ImagePullBackOff and others."""
        name = normalize(container.get("image") or "")
        path = (
            pod_containers.field_path_of(pod, container) if container.get("name") else ""
        )  # a volume's image
        if name is None:
            text = f'Failed to apply default image tag "{container.get("image")}": couldn\'t parse image name'
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=path)
            raise StartError("InvalidImageName", text)
        try:
            present = await self._runtime.image_status(name)
        except ContainerRuntimeError as error:
            text = f'Failed to inspect image "{name}": {error}'
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=path)
            raise StartError("ImageInspectError", text) from error
        policy = container.get("imagePullPolicy") or (
            "Always" if name.endswith(":latest") else "IfNotPresent"
        )
        if present is not None and policy != "Always":
            text = f'Container image "{container["image"]}" already present on machine and can be accessed by the pod'
            self._recorder.event(pod, "Normal", "Pulled", text, field_path=path)
            self._images[present.id] = present
            return present.id
        if present is None and policy == "Never":
            text = f'Container image "{container["image"]}" is not present with pull policy of Never'
            self._recorder.event(pod, "Warning", "ErrImageNeverPull", text, field_path=path)
            raise StartError("ErrImageNeverPull", text)
        return await self._pull(pod, container, name, sandbox, path)

    async def _pull(
        self, pod: Object, container: Object, name: str, sandbox: SandboxConfig, path: str
    ) -> str:
        shown = container["image"]
        key = f"{(pod.get('metadata') or {}).get('uid')}_{name}"
        now = self._clock.now().timestamp()
        failed_at = self._failed_at.get(key, 0.0)
        if self._backoff.remaining(key, failed_at, now) > 0:
            text = f'Back-off pulling image "{shown}"'
            self._recorder.event(pod, "Normal", "BackOff", text, field_path=path)
            detail = self._last_error.get(key)
            raise StartError("ImagePullBackOff", f"{text}: {detail}" if detail else text)
        self._recorder.event(pod, "Normal", "Pulling", f'Pulling image "{shown}"', field_path=path)
        started = self._clock.monotonic()
        try:
            async with self._slots:
                waited = self._clock.monotonic() - started
                reference = await self._try_each(await self._credentials(pod, name), name, sandbox)
        except ContainerRuntimeError as error:
            self._failed_at[key] = self._clock.now().timestamp()
            self._backoff.next(key, self._failed_at[key], self._failed_at[key])
            text = (
                f'failed to pull and unpack image "{shown}": {error}'
                if not str(error).startswith("failed")
                else str(error)
            )
            text = f"rpc error: code = Unknown desc = {text}"
            self._last_error[key] = f"ErrImagePull: {text}"
            self._recorder.event(
                pod, "Warning", "Failed", f'Failed to pull image "{shown}": {text}', field_path=path
            )
            self._recorder.event(pod, "Warning", "Failed", "Error: ErrImagePull", field_path=path)
            raise StartError("ErrImagePull", text) from error
        self._last_error.pop(key, None)
        total = self._clock.monotonic() - started
        present = await self._runtime.image_status(reference or name)
        size = present.size if present is not None else 0
        self._recorder.event(
            pod,
            "Normal",
            "Pulled",
            f'Successfully pulled image "{shown}" in {total - waited:.3g}s ({total:.3g}s including waiting). '
            f"Image size: {size} bytes.",
            field_path=path,
        )
        if present is not None:
            self._images[present.id] = present
            return present.id
        return reference

    async def _try_each(self, found: list[Credentials | None], name: str, sandbox: SandboxConfig) -> str:
        failure: ContainerRuntimeError | None = None
        for credentials in found:
            try:
                return await self._runtime.pull_image(name, credentials, sandbox)
            except ContainerRuntimeError as error:
                failure = error
        assert failure is not None
        raise failure

    async def _credentials(self, pod: Object, name: str) -> list[Credentials | None]:
        """Every secret that fits the image's registry, in order; without any, nothing."""
        secrets = []
        for reference in spec_of(pod).get("imagePullSecrets") or []:
            secret = await self._fetch("Secret", namespace_of(pod), reference.get("name") or "")
            if secret is None:
                text = (
                    f"Unable to retrieve some image pull secrets ({reference.get('name')}); "
                    "attempting to pull the image may not succeed."
                )
                self._recorder.event(pod, "Warning", "FailedToRetrieveImagePullSecret", text)
            else:
                secrets.append(secret)
        return list(credentials_for(name, secrets)) or [None]

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self._backoff.forget(f"{pod_uid}_")
        for table in (self._failed_at, self._last_error):
            for key in [key for key in table if key.startswith(f"{pod_uid}_")]:
                del table[key]


def normalize(image: str) -> str | None:
    """Add the tag `latest` where neither tag nor digest is given; None when it cannot be an image name."""
    last = image.rpartition("/")[2]
    if not last or any(character.isspace() for character in image):
        return None
    repository = image.partition("@")[0].removesuffix(":" + last.partition(":")[2])
    registry = registry_of(image)
    if repository.removeprefix(registry) != repository.removeprefix(registry).lower():
        return None
    if "@" in image or ":" in last:
        return image
    return f"{image}:latest"


def registry_of(image: str) -> str:
    """The host from which an image comes."""
    head = image.partition("/")[0]
    is_host = "/" in image and ("." in head or ":" in head or head == "localhost")
    return head if is_host else DEFAULT_REGISTRY


def credentials_for(image: str, secrets: Iterable[Object]) -> Iterable[Credentials]:
    """The logins in these secrets that are meant for the image's registry."""
    registry = registry_of(image)
    for secret in secrets:
        for server, entry in _docker_config(secret).items():
            host = server.removeprefix("https://").removeprefix("http://")
            name, _, path = host.partition("/")
            is_docker = registry == DEFAULT_REGISTRY and name in (
                "index.docker.io",
                "docker.io",
                "registry-1.docker.io",
            )
            if not is_docker and not _host_fits(name, registry):
                continue
            if (
                path
                and not is_docker
                and path not in ("v1/", "v2/")
                and not image.startswith(f"{registry}/{path}")
            ):
                continue
            yield _login(entry)


def _host_fits(pattern: str, host: str) -> bool:
    left, right = pattern.split("."), host.split(".")
    return len(left) == len(right) and all(a in ("*", b) for a, b in zip(left, right, strict=True))


def _docker_config(secret: Object) -> dict[str, Any]:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            found = orjson.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        elif ".dockercfg" in data:
            found = orjson.loads(base64.b64decode(data[".dockercfg"]))
        else:
            found = {}
    except (ValueError, AttributeError):
        log.warning("secret %s holds no docker configuration", logging.name(secret))
        return {}
    return dict(found)


def _login(entry: dict[str, str]) -> Credentials:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if not username and entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username = ""
    return Credentials(username=username, password=password, identity_token=entry.get("identitytoken") or "")
