from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubelet.devices import cdi


def specify(folder: Path, name: str, **edits: object) -> None:
    device = {"name": name, "containerEdits": edits}
    shared = {"env": ["SHARED=1"]}
    found = {"cdiVersion": "0.6.0", "kind": "a.example/gpu", "devices": [device], "containerEdits": shared}
    (folder / f"{name}.json").write_text(json.dumps(found))


def test_edits_of_devices(tmp_path: Path) -> None:
    mounts = [{"hostPath": "/lib/gpu", "containerPath": "/gpu", "options": ["ro", "bind"]}]
    specify(
        tmp_path, "0", env=["A=b=c"], deviceNodes=[{"path": "/dev/gpu0"}], mounts=mounts, additionalGIDs=[5]
    )
    specify(tmp_path, "1", deviceNodes=[{"path": "/dev/gpu1", "hostPath": "/dev/null", "permissions": "r"}])
    found = cdi.resolve(["a.example/gpu=0", "a.example/gpu=1"], [tmp_path])
    assert found.environment == {"SHARED": "1", "A": "b=c"} and found.groups == (5,)
    assert found.devices == (
        {"container_path": "/dev/gpu0", "host_path": "/dev/gpu0", "permissions": "rwm"},
        {"container_path": "/dev/gpu1", "host_path": "/dev/null", "permissions": "r"},
    )
    assert found.mounts == ({"container_path": "/gpu", "host_path": "/lib/gpu", "readonly": True},)


def test_the_later_folder_wins(tmp_path: Path) -> None:
    for place in ("etc", "run"):
        (tmp_path / place).mkdir()
        specify(tmp_path / place, "0", env=[f"FROM={place}"])
    found = cdi.resolve(["a.example/gpu=0"], [tmp_path / "etc", tmp_path / "run"])
    assert found.environment["FROM"] == "run"


def test_an_unknown_device(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(cdi.UnknownDevice, match="unresolvable CDI devices"):
        cdi.resolve(["a.example/gpu=7"], [tmp_path])
    assert cdi.resolve([], [tmp_path]).environment == {}
