"""Which handler runs a pod."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubelet.pods.runtime_classes import RuntimeClasses
from kubelet.runtime.interface import ContainerRuntimeError, RuntimeHandler, RuntimeInfo
from tests.unit.kubelet.making import make_pod


def test_the_class_names_the_handler() -> None:
    known = {"safe": {"handler": "runsc"}}
    lister: Any = SimpleNamespace(get=lambda namespace, name: known.get(name))
    handlers = (RuntimeHandler("", False, False), RuntimeHandler("runsc", True, False))
    classes = RuntimeClasses(lister, lambda: RuntimeInfo("containerd", "2.0", handlers))
    plain, safe, lost = (make_pod(runtimeClassName=name) for name in (None, "safe", "lost"))
    assert (classes.handler(plain), classes.handler(safe)) == ("", "runsc")
    with pytest.raises(ContainerRuntimeError, match='RuntimeClass "lost" not found'):
        classes.handler(lost)
    assert [classes.mounts_recursively_read_only(pod) for pod in (plain, safe, lost)] == [False, True, False]
