from __future__ import annotations

from pathlib import Path

from kubelet.resources import local_storage
from kubelet.resources.local_storage import LocalStorage, Size, over_limit
from tests.unit.kubelet.making import make_container, make_pod

MIB = 1 << 20
POD = make_pod(
    make_container(name="a", resources={"limits": {"ephemeral-storage": "1Mi"}}),
    make_container(name="b", resources={"limits": {"ephemeral-storage": "3Mi"}}),
    volumes=[
        {"name": "v", "emptyDir": {"sizeLimit": "2Mi"}},
        {"name": "m", "emptyDir": {"medium": "Memory"}},
    ],
)


def storage(volume: int = 0, logs: int = 0) -> LocalStorage:
    return LocalStorage({"v": Size(volume)}, {"a": Size(logs)})


def test_own_limits_of_local_disk() -> None:
    assert over_limit(POD, storage(MIB // 2), {"a": MIB // 4}) == ("", "")
    told = 'Usage of EmptyDir volume "v" exceeds the limit "2Mi". '
    assert over_limit(POD, storage(3 * MIB), {}) == ("emptydirfs.limit", told)
    assert over_limit(POD, storage(MIB), {"b": 3 * MIB + 1}) == (
        "ephemeralpodfs.limit",
        "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
    )
    told = 'Container a exceeded its local ephemeral storage limit "1Mi". '
    expected = "ephemeralcontainerfs.limit", told
    assert over_limit(POD, storage(), {"a": 2 * MIB}) == expected
    assert over_limit(POD, storage(logs=2 * MIB), {}) == expected, "logs count as well"


def test_what_lies_on_the_disk(tmp_path: Path) -> None:
    volume = tmp_path / "pod/volumes/kubernetes.io~empty-dir/v/deep"
    volume.mkdir(parents=True)
    (volume / "file").write_bytes(b"x" * 10000)
    (volume / "same").hardlink_to(volume / "file")
    (tmp_path / "logs/a").mkdir(parents=True)
    (tmp_path / "logs/a/0.log").write_text("said\n")
    found = local_storage.measure(POD, tmp_path / "pod", tmp_path / "logs")
    assert set(found.volumes) == {"v"}, "what lies in memory is not counted"
    assert found.volumes["v"].inodes == 2 and 10000 <= found.volumes["v"].bytes < 10000 + 3 * 4096
    assert found.logs["a"].inodes == 1 and found.logs["b"] == Size()
