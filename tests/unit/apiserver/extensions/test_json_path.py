"""Paths of columns and selectable fields."""

from __future__ import annotations

import pytest

from apiserver.extensions import json_path

OBJ = {
    "spec": {"list": [{"k": "a"}, {"k": "b"}], "atom": ["p", "q", "r"]},
    "metadata": {"labels": {"a.b/c": "L"}},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.list[*].k", ["a", "b"]),
        (".spec.list[0].k", ["a"]),
        ('.spec.list[?(@.k=="b")].k', ["b"]),
        (".spec.atom[-1:]", ["r"]),
        (".spec.atom[0:2]", ["p", "q"]),
        ("..k", ["a", "b"]),
        (".metadata.labels.a\\.b/c", ["L"]),
        (".spec.none", []),
    ],
)
def test_paths(path: str, found: list[str]) -> None:
    assert json_path.find(OBJ, path) == found
