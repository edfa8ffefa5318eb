from __future__ import annotations

import pytest

from kubelet import metrics
from tests.unit.kubelet.making import make_container, make_pod


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "N/A"), (1, "0-10MB"), (10 << 20, "10MB-100MB"), (1 << 30, "1GB-5GB"), (100 << 30, "GT100GB")],
)
def test_pulls_by_the_size_of_the_image(size: int, words: str) -> None:
    assert metrics.size_class(size) == words


def test_kinds_of_containers() -> None:
    pod = make_pod(initContainers=[make_container("first")], ephemeralContainers=[make_container("look")])
    kinds = {name: metrics.kind_of(pod, make_container(name)) for name in ("main", "first", "look")}
    assert kinds == {"main": "container", "first": "init_container", "look": "ephemeral_container"}
