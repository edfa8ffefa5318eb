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
