r"""A node from the inside: pid 1 of its namespaces.

    nsenter --net=/run/netns/NODE unshare --mount --uts --ipc --pid --fork --kill-child \
        python -m kubarium.cluster.node PLAN.json

1. takes its name, and leaves the host's mount tree;
2. builds its own root: the host's programs, but its own /etc, /opt, /var, /tmp and /run, so that nothing a
   node writes is seen by another node or stays on the host (paths inside are those of any other node:
   /var/lib/kubelet, /var/log/pods, /etc/cni/net.d, /run/containerd/containerd.sock);
3. moves into its cgroup;
4. becomes the keeper of containerd, kubelet and kube-proxy.

When the outermost process gets SIGKILL the kernel takes all of this away: that is what "power off" means here.
In a container (docker compose) there is a root already: `"own_root": false` leaves out step 2.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from kubarium.cluster import cgroups, mounts
from kubarium.cluster.keeper import Keeper

OWN_CHANGES = ("etc", "opt", "srv", "mnt", "media")  # the host's content, the node's changes
OWN_CONTENT = ("var", "tmp")  # on the node's disk
SKIPPED = ("boot", "lost+found", "old-root", "run", "proc", "sys")
VAR_FOLDERS = (
    "lib",
    "lib/containerd",
    "lib/kubelet",
    "lib/cni",
    "log",
    "log/pods",
    "log/containers",
    "cache",
    "tmp",
)


@dataclass(frozen=True)
class Plan:
    """What pid 1 of a node needs to know."""

    name: str
    programs: str  # the keeper's file
    cgroup: str
    own_root: bool = True
    disk: str = ""  # the node's disk
    shared: tuple[str, ...] = ()  # folders that stay visible under the same path


def write(plan: Plan, path: Path) -> None:
    """Write the file that `main` reads."""
    path.write_text(json.dumps(asdict(plan), indent=1))


def main(path: Path) -> None:
    """Become the node."""
    data = json.loads(path.read_text())
    plan = Plan(**(data | {"shared": tuple(data["shared"])}))
    # The keeper takes over these signals; until then a stop must end this process, pid 1 or not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    socket.sethostname(plan.name)
    mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
    if plan.own_root:
        build_root(plan)
    cgroups.enter(f"{plan.cgroup}/system")
    allow_forwarding()
    Keeper(Path(plan.programs)).run()


def build_root(plan: Plan) -> None:
    """Put a root file system together and make it ours.

    It is put together over the host's /run: only this namespace sees that, and the node has its own /run anyway.
    """
    root = Path("/run")
    mounts.mount("tmpfs", str(root), "tmpfs", data="mode=755,size=64m")
    for entry in sorted(Path("/").iterdir()):
        take_over(entry, root, Path(plan.disk))
    for name in ("run", "proc", "sys"):
        (root / name).mkdir(exist_ok=True)
    mounts.mount("tmpfs", str(root / "run"), "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, "mode=755")
    (root / "run/lock").mkdir()
    mounts.mount("proc", str(root / "proc"), "proc", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC)
    mount_sys(root / "sys")
    for path in hidden(plan.shared):
        target = root / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        mounts.bind(path, str(target))
    old = root / "old-root"
    old.mkdir()
    mounts.pivot_root(str(root), str(old))
    os.chdir("/")
    mounts.unmount("/old-root")
    Path("/old-root").rmdir()


def take_over(entry: Path, root: Path, disk: Path) -> None:
    """Give one entry of the host's root its place in the node's root."""
    name, target = entry.name, root / entry.name
    if entry.is_symlink():
        target.symlink_to(os.readlink(entry))
    elif name in OWN_CHANGES:
        target.mkdir()
        upper, work = disk / name, disk / f".{name}-work"
        for folder in (upper, work):
            folder.mkdir(parents=True, exist_ok=True)
        mounts.overlay(str(entry), str(upper), str(work), str(target))
    elif name in OWN_CONTENT:
        target.mkdir()
        make_content(disk / name, name)
        mounts.bind(str(disk / name), str(target))
    elif entry.is_dir() and name not in SKIPPED:
        target.mkdir()
        mounts.bind(str(entry), str(target))


def make_content(folder: Path, name: str) -> None:
    """The folders that programs expect to find in /var and /tmp."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "tmp":
        folder.chmod(0o1777)
        return
    for part in VAR_FOLDERS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    if not (folder / "run").is_symlink():
        (folder / "run").symlink_to("/run")


def mount_sys(target: Path) -> None:
    """A fresh sysfs shows the node's own network devices; the cgroup trees below are the host's."""
    mounts.mount("sysfs", str(target), "sysfs", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC)
    mounts.bind("/sys/fs/cgroup", str(target / "fs/cgroup"))


def hidden(shared: Iterable[str]) -> list[str]:
    """Those shared folders that the node's own /var, /tmp or /etc would cover; parents first."""
    covered = tuple(f"/{name}/" for name in (*OWN_CHANGES, *OWN_CONTENT, "run"))
    chosen: list[str] = []
    for path in sorted(path for path in shared if path.startswith(covered)):
        if not any(path == done or path.startswith(done + "/") for done in chosen):
            chosen.append(path)
    return chosen


def allow_forwarding() -> None:
    """A node is a router between its pods and the rest, in the families of which it has an address."""
    switches = ["ipv4/ip_forward"]
    with contextlib.suppress(OSError):
        words = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
        if any(
            (scope, name) == ("00", "eth0") for _, _, _, scope, _, name in words
        ):  # of the world, not of a link
            switches.append("ipv6/conf/all/forwarding")
    for switch in switches:
        with contextlib.suppress(OSError):
            Path("/proc/sys/net", switch).write_text("1")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
