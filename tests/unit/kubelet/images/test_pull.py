from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.images.pull import ImagePuller, Throttle
from kubelet.images.records import PullRecords
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.interface import ContainerRuntimeError, StartError
from tests.unit.kubelet.making import make_container, make_pod


class Events:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.said.append((reason, message))


SECRETS = ("mine", "wrong")


async def secret(kind: str, namespace: str, name: str) -> Object | None:
    """A login of this name for every registry of the test."""
    if name not in SECRETS:
        return None
    auth = {"username": name, "password": "p"}
    config = base64.b64encode(orjson.dumps({"auths": {"r.io": auth}})).decode()
    metadata = {"uid": f"uid-{name}", "namespace": namespace, "name": name}
    return {"metadata": metadata, "data": {".dockerconfigjson": config}}


@pytest.fixture
def parts(clock: FakeClock, tmp_path: Path) -> tuple[FakeRuntime, Events, ImagePuller]:
    runtime, events = FakeRuntime(clock), Events()
    records = PullRecords(tmp_path, "NeverVerifyPreloadedImages")
    puller = ImagePuller(runtime, events, clock, secret, records=records, serialize=True, parallel=0)
    return runtime, events, puller


async def ensure(puller: ImagePuller, secrets: tuple[str, ...] = (), **fields: Any) -> str:
    container = make_container(**fields)
    pod = make_pod(container, imagePullSecrets=[{"name": name} for name in secrets])
    return await puller.ensure(pod, container, {})


async def reason(puller: ImagePuller, secrets: tuple[str, ...] = (), **fields: Any) -> str:
    """Why not, or nothing."""
    try:
        await ensure(puller, secrets, **fields)
    except StartError as error:
        return error.reason
    return ""


async def test_a_present_image_is_not_pulled(parts: tuple[FakeRuntime, Events, ImagePuller]) -> None:
    runtime, events, puller = parts
    image = runtime.add_image("busybox:1")
    assert await ensure(puller) == image.id
    assert events.said == [
        ("Pulled", 'Container image "busybox:1" already present on machine and can be accessed by the pod')
    ]


async def test_never_means_never(parts: tuple[FakeRuntime, Events, ImagePuller]) -> None:
    with pytest.raises(StartError) as caught:
        await ensure(parts[2], imagePullPolicy="Never")
    assert caught.value.reason == "ErrImageNeverPull"
    assert caught.value.message == 'Container image "busybox:1" is not present with pull policy of Never'


async def test_a_failed_pull_backs_off(
    parts: tuple[FakeRuntime, Events, ImagePuller], clock: FakeClock
) -> None:
    runtime, events, puller = parts
    reasons = []
    for _ in range(3):
        with pytest.raises(StartError) as caught:
            await ensure(puller)
        reasons.append(caught.value.reason)
        await clock.advance(6)
    assert reasons == ["ErrImagePull", "ImagePullBackOff", "ErrImagePull"]
    assert ("BackOff", 'Back-off pulling image "busybox:1"') in events.said
    runtime.add_image("busybox:1")
    runtime.failures["pull_image"] = ContainerRuntimeError("boom")


async def test_a_bad_name_is_told(parts: tuple[FakeRuntime, Events, ImagePuller]) -> None:
    with pytest.raises(StartError) as caught:
        await ensure(parts[2], image="Upper/case")
    assert caught.value.reason == "InvalidImageName"
    assert "repository name (Upper/case) must be lowercase" in caught.value.message


async def test_every_login_is_tried(parts: tuple[FakeRuntime, Events, ImagePuller]) -> None:
    runtime, events, puller = parts
    runtime.logins["r.io/a:1"] = "mine"
    assert await ensure(puller, ("missing", "wrong", "mine"), image="r.io/a:1")
    asked = [call[2].username for call in runtime.calls if call[0] == "pull_image"]
    assert asked == ["wrong", "mine"]
    assert events.said[0][0] == "Pulling"
    assert "Unable to retrieve some image pull secrets (missing)" in events.said[1][1]


async def test_a_present_image_is_not_for_everybody(parts: tuple[FakeRuntime, Events, ImagePuller]) -> None:
    runtime, _, puller = parts
    runtime.logins["r.io/a:1"] = "mine"
    assert await reason(puller, ("mine",), image="r.io/a:1") == ""
    assert await reason(puller, ("mine",), image="r.io/a:1", imagePullPolicy="Never") == ""
    assert await reason(puller, image="r.io/a:1", imagePullPolicy="Never") == "ErrImageNeverPull"
    assert await reason(puller, image="r.io/a:1", imagePullPolicy="IfNotPresent") == "ErrImagePull"


async def test_a_preloaded_image_is_for_everybody(
    clock: FakeClock, parts: tuple[FakeRuntime, Events, ImagePuller], tmp_path: Path
) -> None:
    runtime, events, puller = parts
    runtime.add_image("r.io/a:1")
    assert await reason(puller, image="r.io/a:1", imagePullPolicy="Never") == ""
    strict = PullRecords(tmp_path / "other", "AlwaysVerify")
    puller = ImagePuller(runtime, events, clock, secret, records=strict, serialize=True, parallel=0)
    assert await reason(puller, image="r.io/a:1", imagePullPolicy="Never") == "ErrImageNeverPull"


async def test_too_many_pulls_at_once_wait(clock: FakeClock) -> None:
    throttle = Throttle(clock, a_second=2, at_once=3)
    assert [throttle.try_take() for _ in range(4)] == [True, True, True, False]
    await clock.advance(0.5)
    assert [throttle.try_take() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("serialize", "parallel", "most"), [(True, 0, 1), (False, 2, 2), (False, 0, 5)])
async def test_parallel_pulls(
    clock: FakeClock, tmp_path: Path, serialize: bool, parallel: int, most: int
) -> None:
    class Slow(FakeRuntime):
        running = highest = 0

        async def pull_image(self, *arguments: Any) -> str:
            self.running += 1
            self.highest = max(self.highest, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return await super().pull_image(*arguments)

    runtime = Slow(clock)
    records = PullRecords(tmp_path, "NeverVerify")
    puller = ImagePuller(
        runtime, Events(), clock, secret, records=records, serialize=serialize, parallel=parallel
    )
    for number in range(5):
        runtime.logins[f"r.io/{number}:1"] = ""
    await asyncio.gather(*(ensure(puller, image=f"r.io/{number}:1") for number in range(5)))
    assert runtime.highest == most
