"""Container images without a registry: packed from files on this machine, kept prepared for new nodes.

    pack([layer], Config(entrypoint=["/bin/sh"]), ["docker.io/library/thing:1"], path)

The archives are those of `docker save`, which `docker load` and `ctr images import` both read.
A new node does not import anything: it gets a copy of a containerd root in which the images already are.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.cluster.machine import LaunchError
from kubarium.cluster.shell import CommandError, run, succeeds
from kubarium.component_base.architecture import architecture

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
BUSYBOX_IMAGE = "docker.io/library/busybox:latest"
HOST_IMAGE = "localhost/kubarium/host:latest"
CONTAINERD_NAMESPACE = "k8s.io"

# Pid 1 of a pod: holds the namespaces, reaps orphans, and goes at once when asked to.
PAUSE_SCRIPT = """#!/bin/busybox sh
trap 'exit 0' TERM INT
while :; do /bin/busybox sleep 2147483647 & wait $!; done
"""


@dataclass(frozen=True)
class Config:
    """What a container of the image runs when nobody says otherwise."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    working_dir: str = "/"
    user: str = ""
    exposed_ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""


class Layer:
    """A file system put together in memory; the same content always gives the same bytes."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)
        self._known: set[str] = set()

    def folder(self, path: str, mode: int = 0o755) -> Layer:
        """Add a folder and its parents."""
        name = path.strip("/")
        if name and name not in self._known:
            self.folder(os.path.dirname(name))
            self._add(tarfile.TarInfo(name), mode, kind=tarfile.DIRTYPE)
        return self

    def file(self, path: str, content: bytes | str, mode: int = 0o644) -> Layer:
        """Add a file."""
        data = content.encode() if isinstance(content, str) else content
        info = tarfile.TarInfo(self._place(path))
        info.size = len(data)
        self._add(info, mode, data)
        return self

    def link(self, path: str, target: str) -> Layer:
        """Add a symbolic link."""
        info = tarfile.TarInfo(self._place(path))
        info.linkname = target
        self._add(info, 0o777, kind=tarfile.SYMTYPE)
        return self

    def copy(self, source: Path | str, path: str | None = None) -> Layer:
        """Add a file, a link or a whole folder of this machine, under the same path if no other is given."""
        source = Path(source)
        target = path if path is not None else str(source)
        if source.is_symlink():
            return self.link(target, os.readlink(source))
        if source.is_dir():
            self.folder(target, stat.S_IMODE(source.stat().st_mode))
            for entry in sorted(source.iterdir()):
                self.copy(entry, f"{target.rstrip('/')}/{entry.name}")
            return self
        return self.file(target, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    def has(self, path: str) -> bool:
        """Was this path added?"""
        return path.strip("/") in self._known

    def data(self) -> bytes:
        """The layer as a tar file."""
        self._tar.close()
        return self._buffer.getvalue()

    def _place(self, path: str) -> str:
        name = path.strip("/")
        self.folder(os.path.dirname(name))
        return name

    def _add(
        self, info: tarfile.TarInfo, mode: int, data: bytes | None = None, kind: bytes | None = None
    ) -> None:
        if info.name in self._known:
            return
        self._known.add(info.name)
        info.mode = mode
        if kind is not None:
            info.type = kind
        self._tar.addfile(info, io.BytesIO(data) if data is not None else None)


def pack(layers: Sequence[bytes], config: Config, tags: Sequence[str], path: Path) -> Path:
    """Write an image archive."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": _container_config(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "kubarium"} for _ in layers],
    }
    content = json.dumps(document, sort_keys=True).encode()
    name = f"{hashlib.sha256(content).hexdigest()}.json"
    manifest = [
        {"Config": name, "RepoTags": list(tags), "Layers": [f"{digest}/layer.tar" for digest in digests]}
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with tarfile.open(draft, "w") as archive:
        _append(archive, name, content)
        for digest, layer in zip(digests, layers, strict=True):
            _append(archive, f"{digest}/layer.tar", layer)
        _append(archive, "manifest.json", json.dumps(manifest).encode())
    draft.replace(path)
    return path


def programs_layer(*programs: Path | str, layer: Layer | None = None) -> Layer:
    """Programs of this machine with the shared libraries they need, as `ldd` names them."""
    layer = layer or Layer()
    for program in programs:
        resolved = Path(program).resolve()
        layer.file(str(program), resolved.read_bytes(), 0o755)
        for library in shared_libraries(resolved):
            if not layer.has(library):
                layer.file(library, Path(library).read_bytes(), 0o755)
    return layer


def shared_libraries(program: Path) -> list[str]:
    """The libraries that the loader would map for this program."""
    answer = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    words = [word for line in answer.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return list(dict.fromkeys(words))


def base_layer() -> Layer:
    """Users, groups and folders that any program expects."""
    layer = users_layer()
    for folder in ("bin", "dev", "home", "proc", "root", "run", "sys", "usr/bin", "usr/sbin", "var/log"):
        layer.folder(folder)
    return layer.folder("tmp", 0o1777).folder("var/tmp", 0o1777)


def users_layer() -> Layer:
    """The files that give users and groups their names."""
    layer = Layer()
    users = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n"
    layer.file("etc/passwd", users + "nobody:x:65534:65534:nobody:/home:/bin/false\n")
    layer.file("etc/group", "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n")
    layer.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    return layer


def busybox_layer(busybox: Path, applets: Iterable[str], layer: Layer | None = None) -> Layer:
    """A small system in which every command is busybox."""
    layer = (layer or base_layer()).file("bin/busybox", busybox.read_bytes(), 0o755)
    for applet in applets:
        if applet != "busybox":
            layer.link(f"bin/{applet}", "/bin/busybox")
    return layer


async def pack_busybox(folder: Path) -> Path:
    """The image `busybox`, from Debian's static build."""
    busybox = busybox_path()
    applets = (await run(str(busybox), "--list")).split()
    layer = busybox_layer(busybox, applets).data()
    return pack([layer], Config(cmd=["sh"]), [BUSYBOX_IMAGE], folder / "busybox.tar")


def pack_pause(folder: Path) -> Path:
    """The image of the container that holds a pod's namespaces."""
    layer = Layer().folder("proc").folder("sys").folder("dev").folder("tmp", 0o1777)
    layer.file("bin/busybox", busybox_path().read_bytes(), 0o755).file("pause", PAUSE_SCRIPT, 0o755)
    return pack([layer.data()], Config(entrypoint=["/pause"]), [PAUSE_IMAGE], folder / "pause.tar")


def pack_host(folder: Path) -> Path:
    """An empty system for programs that run from the node's own /usr, mounted into the pod (cluster DNS)."""
    layer = users_layer()
    for name in ("bin", "sbin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            layer.link(name, os.readlink(path))
        elif path.is_dir():
            layer.folder(name)
    return pack([layer.data()], Config(), [HOST_IMAGE], folder / "host.tar")


async def prepared_root(cache: Path) -> Path:
    """A containerd root that holds the basic images; made once, then only copied."""
    archives = cache / "images"
    packed = [await pack_busybox(archives), pack_pause(archives), pack_host(archives)]
    mark = hashlib.sha256(b"".join(path.read_bytes() for path in packed)).hexdigest()[:16]
    root = cache / f"containerd-{mark}"
    if not (root / "complete").exists():
        for old in cache.glob("containerd-*"):
            shutil.rmtree(old)
        await _import_into(root / "root", cache / "containerd-state", packed)
        (root / "complete").touch()
    return root / "root"


async def copy_root(prepared: Path, target: Path) -> None:
    """Give a new node the prepared images."""
    if target.exists() and any(target.iterdir()):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    await succeeds("rmdir", str(target))
    await run("cp", "-a", "--reflink=auto", str(prepared), str(target))


def names(archive: Path) -> list[str]:
    """What an archive says that its images are called. Raises LaunchError if it is none."""
    try:
        with tarfile.open(archive, "r:") as tar:  # ctr wants it unpacked
            found = {each.name.removeprefix("./"): each for each in tar}
            file = tar.extractfile(found.get("manifest.json") or found["index.json"])
            said = json.load(file) if file else []
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise LaunchError(
            "that is no archive of images, or a compressed one; make one with: docker save NAME -o FILE"
        ) from error
    return [name for image in said if isinstance(image, dict) for name in image.get("RepoTags") or []]


def file_name(archive: Path) -> str:
    """The name under which an archive is kept, so that the next one of the same images takes its place."""
    return "+".join(names(archive) or ["images"]).replace("/", "_").replace(":", "_")[:200] + ".tar"


async def load(socket: str, archive: Path) -> list[str]:
    """Import an archive through a containerd socket; returns the names of its images."""
    output = await ctr(socket, "images", "import", str(archive), timeout=600)
    return [line.split()[1] for line in output.splitlines() if line.startswith("unpacking ")]


async def ctr(socket: str, *argv: str, timeout: float = 60) -> str:
    """containerd's own client."""
    return await run("ctr", "--address", socket, "--namespace", CONTAINERD_NAMESPACE, *argv, timeout=timeout)


def containerd_config(root: str, state: str, socket: str) -> str:
    """The settings that containerd 1.6, 1.7 and 2.x all understand; see docs/decisions for the cautious ones."""
    return f"""version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


async def _import_into(root: Path, state: Path, archives: Iterable[Path]) -> None:
    """Run a containerd just for the import."""
    for folder in (root, state):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    socket, config = state / "c.sock", state / "config.toml"
    # A socket's path must not be longer than 108 characters, and this folder may lie deep.
    short = f"/run/kubarium-import-{os.getpid()}.sock" if len(str(socket)) > 90 else str(socket)
    config.write_text(containerd_config(str(root), str(state), short))
    with (state / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            # It must not outlive us, whatever becomes of us: it carries no cluster's mark.
            *("setpriv", "--pdeathsig", "KILL", "containerd", "--config", str(config)),
            stdout=log,
            stderr=log,
        )
    try:
        await _until_it_answers(short)
        for archive in archives:
            await load(short, archive)
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(state)
        for leftover in (short, f"{short}.ttrpc"):
            Path(leftover).unlink(missing_ok=True)


async def _until_it_answers(socket: str) -> None:
    for _ in range(1200):  # at least a minute
        try:
            await ctr(socket, "version")
            return
        except CommandError:
            await asyncio.sleep(0.05)
    raise RuntimeError("containerd did not start; is it installed?")


def busybox_path() -> Path:
    """Where this machine's busybox lies."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if Path(path).exists():
            return Path(path)
    raise FileNotFoundError("busybox is missing (Debian: busybox-static)")


def _container_config(config: Config) -> dict[str, object]:
    fields: dict[str, object] = {
        "Entrypoint": list(config.entrypoint) or None,
        "Cmd": list(config.cmd) or None,
        "Env": list(config.env),
        "WorkingDir": config.working_dir,
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports} or None,
        "Labels": dict(config.labels) or None,
        "StopSignal": config.stop_signal,
    }
    return {name: value for name, value in fields.items() if value}


def _append(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
