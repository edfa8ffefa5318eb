"""Pull policy, logins, back-off: make sure that a container's image is there, or say why it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NoReturn

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object, namespace_of, spec_of, uid_of
from kubarium.component_base.clock import Clock
from kubarium.component_base.options import format_duration
from kubelet import metrics
from kubelet.images import keyring, names
from kubelet.images.keyring import Login
from kubelet.images.records import PullRecords
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import (
    ContainerRuntimeError,
    Image,
    Runtime,
    SandboxConfig,
    StartError,
    rpc_text,
)
from kubelet.runtime.restart_backoff import RestartBackoff

Fetch = Callable[[str, str, str], Awaitable[Object | None]]


async def no_logins(pod: Object, image: str) -> Iterable[Login]:
    """A node without credential provider plugins."""
    return ()


class Throttle:
    """Lets so many pulls a second begin, and a few more at once. 0 lets all begin."""

    def __init__(self, clock: Clock, a_second: int, at_once: int) -> None:
        self._clock = clock
        self._a_second = a_second
        self._at_once = at_once
        self._left = float(at_once)
        self._last = clock.monotonic()

    def try_take(self) -> bool:
        """May one more begin?"""
        if not self._a_second:
            return True
        now = self._clock.monotonic()
        self._left = min(self._at_once, self._left + (now - self._last) * self._a_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class ImagePuller:
    """So many pulls at a time as configured."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        fetch: Fetch,
        *,
        records: PullRecords,
        serialize: bool,
        parallel: int,
        throttle: Throttle | None = None,
        node_logins: keyring.NodeLogins = no_logins,
        root: Path = Path("/nonexistent"),
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._fetch = fetch
        self._records = records
        self._slots = asyncio.Semaphore(1 if serialize else parallel or 1000)
        self._throttle = throttle or Throttle(clock, 0, 0)
        self._node_logins = node_logins
        self._root = root
        self._backoff = RestartBackoff()
        self._failed_at: dict[str, float] = {}
        self._last_error: dict[str, str] = {}
        self._images: dict[str, Image] = {}
        self._pulls: dict[
            str, tuple[float, float]
        ] = {}  # by pod: when the first began, when the last was over

    def image(self, reference: str) -> Image | None:
        """What the last look at this image showed."""
        return self._images.get(reference)

    async def ensure(self, pod: Object, container: Object, sandbox: SandboxConfig) -> str:
        """The reference of a present image. Raises StartError with ErrImagePull, ImagePullBackOff and others."""
        shown = container.get("image") or ""
        path = (
            pod_containers.field_path_of(pod, container) if container.get("name") else ""
        )  # a volume's image
        try:
            name = names.normalize(shown)
        except names.InvalidName as error:
            text = (
                f'Failed to apply default image tag "{shown}": couldn\'t parse image name "{shown}": {error}'
            )
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=path)
            raise StartError("InvalidImageName", text) from error
        try:
            present = await self._runtime.image_status(name)
        except ContainerRuntimeError as error:
            text = f'Failed to inspect image "{name}": {rpc_text(error)}'
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=path)
            raise StartError("ImageInspectError", text) from error
        policy = container.get("imagePullPolicy") or (
            "Always" if name.endswith(":latest") else "IfNotPresent"
        )
        if present is not None and policy != "Always" and await self._may_use(pod, name, present.id):
            text = f'Container image "{shown}" already present on machine and can be accessed by the pod'
            self._recorder.event(pod, "Normal", "Pulled", text, field_path=path)
            self._images[present.id] = present
            return present.id
        if policy == "Never":
            text = f'Container image "{shown}" is not present with pull policy of Never'
            self._recorder.event(pod, "Warning", "ErrImageNeverPull", text, field_path=path)
            raise StartError("ErrImageNeverPull", text)
        return await self._pull(pod, shown, name, sandbox, path)

    async def _may_use(self, pod: Object, name: str, image_id: str) -> bool:
        if self._records.is_open(name, image_id):
            return True
        return self._records.is_open_to(name, image_id, await self._logins(pod, name))

    async def _pull(self, pod: Object, shown: str, name: str, sandbox: SandboxConfig, path: str) -> str:
        key = f"{uid_of(pod)}_{name}"
        if self._backoff.remaining(key, self._failed_at.get(key, 0.0), self._clock.now().timestamp()) > 0:
            text = f'Back-off pulling image "{shown}"'
            self._recorder.event(pod, "Normal", "BackOff", text, field_path=path)
            detail = self._last_error.get(key)
            raise StartError("ImagePullBackOff", f"{text}: {detail}" if detail else text)
        self._recorder.event(pod, "Normal", "Pulling", f'Pulling image "{shown}"', field_path=path)
        started = self._clock.monotonic()
        try:
            async with self._slots:
                waited = self._clock.monotonic() - started
                reference = await self._try_each(pod, name, sandbox)
        except ContainerRuntimeError as error:
            self._failed(pod, shown, key, error, path)
        self._last_error.pop(key, None)
        ended = self._clock.monotonic()
        total = ended - started
        self._pulls[uid_of(pod)] = self._pulls.get(uid_of(pod), (started, ended))[0], ended
        present = await self._runtime.image_status(reference or name)
        size = present.size if present is not None else 0
        metrics.PULL_SECONDS.observe((metrics.size_class(size),), total - waited)
        self._recorder.event(
            pod,
            "Normal",
            "Pulled",
            f'Successfully pulled image "{shown}" in {_shown(total - waited)} ({_shown(total)} including waiting). '
            f"Image size: {size} bytes.",
            field_path=path,
        )
        if present is not None:
            self._images[present.id] = present
            return present.id
        return reference

    def _failed(self, pod: Object, shown: str, key: str, error: ContainerRuntimeError, path: str) -> NoReturn:
        """Tell it, remember it, and raise StartError."""
        self._failed_at[key] = self._clock.now().timestamp()
        self._backoff.next(key, self._failed_at[key], self._failed_at[key])
        reason, text = _explained(error)
        self._last_error[key] = f"{reason}: {text}"
        self._recorder.event(
            pod, "Warning", "Failed", f'Failed to pull image "{shown}": {text}', field_path=path
        )
        raise StartError(reason, text) from error

    async def _try_each(self, pod: Object, name: str, sandbox: SandboxConfig) -> str:
        """Try every login, in order; without any, ask as nobody."""
        if not self._throttle.try_take():
            raise ContainerRuntimeError("pull QPS exceeded")
        failures: list[ContainerRuntimeError] = []
        self._records.intend(name)
        logins: list[Login | None] = [*await self._logins(pod, name)]
        for login in logins or [None]:
            credentials = login.credentials if login is not None else None
            try:
                reference = await self._runtime.pull_image(name, credentials, sandbox)
            except ContainerRuntimeError as error:
                failures.append(error)
                continue
            present = await self._runtime.image_status(reference or name)
            image_id = present.id if present is not None else reference
            self._records.pulled(name, image_id, login, self._clock.now())
            return reference
        self._records.gave_up(name)
        if len(failures) == 1:
            raise failures[0]
        raise PullErrors(failures)

    async def _logins(self, pod: Object, name: str) -> list[Login]:
        """Every login that fits the image: the pod's own, then the node's."""
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
        own = keyring.from_secrets(name, secrets)
        return [*own, *keyring.from_node(name, self._root), *await self._node_logins(pod, name)]

    def seconds_of(self, pod_uid: str) -> float:
        """How long the pod waited for images."""
        began, ended = self._pulls.get(pod_uid, (0.0, 0.0))
        return ended - began

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self._pulls.pop(pod_uid, None)
        self._backoff.forget(f"{pod_uid}_")
        for table in (self._failed_at, self._last_error):
            for key in [key for key in table if key.startswith(f"{pod_uid}_")]:
                del table[key]

    def forget_image(self, image_id: str) -> None:
        """The image was removed: whoever brings it back is its owner."""
        self._images.pop(image_id, None)
        self._records.forget(image_id)


class PullErrors(ContainerRuntimeError):
    """Every login failed."""

    def __init__(self, failures: list[ContainerRuntimeError]) -> None:
        super().__init__(f"[{', '.join(rpc_text(failure) for failure in failures)}]")


def _shown(seconds: float) -> str:
    return format_duration(int(seconds * 1000) / 1000)


def _explained(error: ContainerRuntimeError) -> tuple[str, str]:
    """Reason and message. A runtime may name the reason at the beginning of its text."""
    text = str(error)
    if isinstance(error, PullErrors) or text == "pull QPS exceeded":
        return "ErrImagePull", text
    for reason in ("RegistryUnavailable", "SignatureValidationFailed"):
        if text.startswith(reason):
            return reason, text.removeprefix(reason).lstrip(": ") or reason
    return "ErrImagePull", rpc_text(error)
