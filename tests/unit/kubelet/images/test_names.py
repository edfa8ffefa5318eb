from __future__ import annotations

import pytest

from kubelet.images import names


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "busybox:latest"),
        ("a/b:1", "a/b:1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        (f"a@sha256:{'1' * 64}", f"a@sha256:{'1' * 64}"),
        (f"r.io/a:1@sha256:{'1' * 64}", f"r.io/a:1@sha256:{'1' * 64}"),
        ("Upper/case", None),
        ("", None),
        ("a b", None),
        ("a:b:c", None),
        ("a@sha256:1", None),
        ("-a", None),
        ("a//b", None),
    ],
)
def test_normalize(image: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(names.InvalidName):
            names.normalize(image)
    else:
        assert names.normalize(image) == expected


def test_repository() -> None:
    images = ("busybox", "a/b:1", "r.io/b@sha256:1", "localhost:5000/a:1", "docker.io/busybox")
    assert [names.repository_of(name) for name in images] == [
        "docker.io/library/busybox",
        "docker.io/a/b",
        "r.io/b",
        "localhost:5000/a",
        "docker.io/library/busybox",
    ]


@pytest.mark.parametrize(
    ("pattern", "image", "fits"),
    [
        ("https://index.docker.io/v1/", "busybox:1", True),
        ("docker.io", "a/b", True),
        ("localhost:5000", "localhost:5000/a:1", True),
        ("localhost:5001", "localhost:5000/a:1", False),
        ("*.r.io", "eu.r.io/a", True),
        ("*.r.io", "r.io/a", False),
        ("k*.io", "kube.io/a", True),
        ("r.io/team", "r.io/team/a", True),
        ("r.io/team", "r.io/other/a", False),
        ("r.io", "busybox", False),
    ],
)
def test_which_registry_is_meant(pattern: str, image: str, fits: bool) -> None:
    assert names.matches(pattern, image) is fits
