from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.images.pull import ImagePuller, credentials_for, normalize, registry_of
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.interface import ContainerRuntimeError, StartError
from tests.unit.kubelet.making import make_container, make_pod


class Events:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.said.append((reason, message))


async def no_secret(kind: str, namespace: str, name: str) -> Object | None:
    return None


@pytest.fixture
def parts(clock: FakeClock) -> tuple[FakeRuntime, Events, ImagePuller]:
    runtime, events = FakeRuntime(clock), Events()
    return runtime, events, ImagePuller(runtime, events, clock, no_secret, serialize=True, parallel=0)


async def ensure(puller: ImagePuller, **fields: Any) -> str:
    container = make_container(**fields)
    return await puller.ensure(make_pod(container), container, {})


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


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "busybox:latest"),
        ("a/b:1", "a/b:1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("a@sha256:1", "a@sha256:1"),
        ("Upper/case", None),
        ("", None),
        ("a b", None),
    ],
)
def test_normalize(image: str, expected: str | None) -> None:
    assert normalize(image) == expected


def test_registry_of() -> None:
    assert [registry_of(name) for name in ("busybox", "a/b", "r.io/b", "localhost:5000/a")] == [
        "docker.io",
        "docker.io",
        "r.io",
        "localhost:5000",
    ]


def test_credentials_are_those_of_the_registry() -> None:
    auth = base64.b64encode(b"me:secret").decode()
    config = {
        "auths": {
            "localhost:5000": {"auth": auth},
            "https://index.docker.io/v1/": {"username": "d", "password": "p"},
        }
    }
    secret = {
        "metadata": {"name": "s"},
        "data": {".dockerconfigjson": base64.b64encode(orjson.dumps(config)).decode()},
    }
    found = list(credentials_for("localhost:5000/a:1", [secret]))
    assert [(one.username, one.password) for one in found] == [("me", "secret")]
    assert [one.username for one in credentials_for("busybox:1", [secret])] == ["d"]
