"""Which etcd keeps what, as `--etcd-servers-overrides` says it."""

from __future__ import annotations

import pytest

from apiserver.configuration import ConfigurationError
from apiserver.storage.split import overrides


def test_overrides_name_resources_and_servers() -> None:
    assert overrides(["/pods#http://a:1;http://b:2", "apps/*#unix:///s"]) == {
        ("", "pods"): ("http://a:1", "http://b:2"),
        ("apps", "*"): ("unix:///s",),
    }
    assert overrides([]) == {}


@pytest.mark.parametrize("text", ["pods#http://a", "/pods", "/pods#", "/pods#a;", "/pods#a#b", "a/b/c#d"])
def test_other_overrides_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match="--etcd-servers-overrides invalid, must be of format: group"
    ):
        overrides([text])
