from __future__ import annotations

import pytest

from apiserver.endpoints.websocket import frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (70000, b"\x82\x7f" + (70000).to_bytes(8)),
    ],
)
def test_a_frame_says_how_long_it_is(size: int, head: bytes) -> None:
    assert frame(b"x" * size) == head + b"x" * size


def test_text_is_marked_as_text() -> None:
    assert frame(b"aGk=", is_text=True) == b"\x81\x04aGk="
