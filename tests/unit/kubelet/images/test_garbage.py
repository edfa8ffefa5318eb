"""Which images may go."""

from __future__ import annotations

from typing import Any

from kubarium.component_base.clock import FakeClock
from kubelet.images.garbage import ImageGarbage
from kubelet.runtime.fake import FakeRuntime


class Quiet:
    """Nobody is told."""

    def event(self, *_: Any, **__: Any) -> None: ...


async def test_an_image_that_is_a_volume_stays(clock: FakeClock) -> None:
    runtime = FakeRuntime(clock)
    for name in ("free:1", "mounted:1"):
        runtime.add_image(name)
    mounted = await runtime.image_status("mounted:1")
    assert mounted is not None
    garbage = ImageGarbage(runtime, Quiet(), clock, lambda: {}, minimum_age=0.0, mounted=lambda: [mounted.id])
    await clock.advance(10)
    await garbage.look()
    await clock.advance(10)
    await garbage.look()
    await garbage.delete_unused(1 << 62)
    assert [image.tags for image in await runtime.list_images()] == [("mounted:1",)]


def make(clock: FakeClock, **options: float) -> tuple[FakeRuntime, ImageGarbage, list[str]]:
    runtime, removed = FakeRuntime(clock), []
    for name in ("old:1", "used:1", "new:1"):
        runtime.add_image(name)
    garbage = ImageGarbage(runtime, Quiet(), clock, dict, removed=removed.append, **options)  # type: ignore[arg-type]
    return runtime, garbage, removed


def names(runtime: FakeRuntime) -> set[str]:
    return {tag for image in runtime.images.values() for tag in image.tags}


async def use(runtime: FakeRuntime, image: str) -> None:
    sandbox = {"metadata": {"name": "p", "namespace": "default", "uid": "u", "attempt": 0}, "linux": {}}
    sandbox_id = await runtime.run_sandbox(sandbox)
    config = {"metadata": {"name": "main", "attempt": 0}, "image": {"image": image}, "labels": {}}
    await runtime.create_container(sandbox_id, config, sandbox)


async def test_a_full_disk_loses_what_nobody_uses(clock: FakeClock) -> None:
    runtime, garbage, removed = make(clock)
    await use(runtime, "used:1")
    await garbage.free_all()
    assert names(runtime) == {"used:1"} and len(removed) == 2


async def test_new_images_are_left_alone_for_a_while(clock: FakeClock) -> None:
    runtime, garbage, _ = make(clock, minimum_age=60)
    await garbage.look()
    assert await garbage.delete_unused(1 << 40) == 0
    await clock.advance(61)
    runtime.add_image("newest:1")
    await garbage.look()
    await garbage.delete_unused(1 << 40)
    assert names(runtime) == {"newest:1"}


async def test_images_grow_too_old(clock: FakeClock) -> None:
    runtime, garbage, _ = make(clock, maximum_age=1000)
    await use(runtime, "used:1")
    await garbage.look()
    await garbage.free_old()
    assert len(names(runtime)) == 3, "a kubelet that just started does not know how old they are"
    await clock.advance(1001)
    await garbage.look()
    await garbage.free_old()
    assert names(runtime) == {"used:1"}
