"""Image archives without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from kubarium.cluster import images
from kubarium.cluster.images import Config, Layer, pack, programs_layer
from kubarium.cluster.machine import LaunchError


def test_an_archive_names_its_layers_by_their_content(tmp_path: Path) -> None:
    layer = Layer().file("bin/hello", "#!/bin/sh\n", 0o755).data()
    config = Config(entrypoint=["/bin/hello"], env=["A=1"], exposed_ports=["80/tcp"])
    path = pack([layer], config, ["localhost/hello:1"], tmp_path / "hello.tar")
    with tarfile.open(path) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or io.BytesIO())[0]
        document = json.load(archive.extractfile(manifest["Config"]) or io.BytesIO())
        assert manifest["RepoTags"] == ["localhost/hello:1"]
        assert archive.extractfile(manifest["Layers"][0]).read() == layer  # type: ignore[union-attr]
    assert document["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert document["config"]["Entrypoint"] == ["/bin/hello"]
    assert document["config"]["ExposedPorts"] == {"80/tcp": {}}


def test_a_layer_makes_parents_keeps_modes_and_repeats_nothing() -> None:
    layer = Layer().folder("tmp", 0o1777).file("a/b/c", b"x").file("a/b/c", b"again").link("a/l", "b/c")
    with tarfile.open(fileobj=io.BytesIO(layer.data())) as tar:
        assert tar.getnames() == ["tmp", "a", "a/b", "a/b/c", "a/l"]
        assert tar.getmember("tmp").mode == 0o1777
        assert tar.getmember("a/l").linkname == "b/c"


def test_the_same_content_gives_the_same_bytes() -> None:
    assert Layer().file("a", "1").data() == Layer().file("a", "1").data()


def test_programs_bring_their_libraries() -> None:
    layer = programs_layer("/usr/bin/env")
    assert layer.has("/usr/bin/env")
    with tarfile.open(fileobj=io.BytesIO(layer.data())) as tar:
        assert any("libc.so" in name for name in tar.getnames())


def test_an_archive_is_kept_under_the_names_of_its_images(tmp_path: Path) -> None:
    archive = tmp_path / "stdin"
    pack([Layer().data()], Config(), ["docker.io/library/thing:1"], archive)
    assert images.names(archive) == ["docker.io/library/thing:1"]
    assert images.file_name(archive) == "docker.io_library_thing_1.tar"
    archive.write_text("no archive")
    with pytest.raises(LaunchError, match="no archive of images"):
        images.names(archive)
