"""Can this machine hold a cluster? If not, the text says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOOLS = {  # program -> Debian package
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "tail": "coreutils",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


DISK_BYTES = 256 * 2**20  # for a new cluster: etcd alone reserves two files of 64 MB before it answers
SPARE_BYTES = 32 * 2**20  # for one that has its files


class LaunchError(Exception):
    """Something that the user must know or decide; the text says what."""


def check_machine(with_nodes: bool = True) -> None:
    """Can this machine hold a cluster? One without nodes of its own needs etcd only, and no root."""
    if not with_nodes:
        if find("etcd") is None:
            raise LaunchError("missing packages: apt-get install etcd-server")
        return
    if os.geteuid() != 0:
        raise LaunchError(
            "kubarium needs root for its nodes: it makes namespaces, cgroups and network links; "
            "without root there are simulated nodes: kubarium up --nodes 0 --simulated-nodes 10"
        )
    missing = {package for tool, package in TOOLS.items() if find(tool) is None} - {"etcd-client"}
    if not Path("/usr/lib/cni/bridge").exists():
        missing.add("containernetworking-plugins")
    if not any(Path(path).exists() for path in ("/bin/busybox", "/usr/bin/busybox")):
        missing.add("busybox-static")
    if missing:
        raise LaunchError(f"missing packages: apt-get install {' '.join(sorted(missing))}")


def check_family(ip_family: str) -> None:
    """Can links here have addresses of this family, or of both?"""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if ip_family == "dual" and (not switch.exists() or switch.read_text().strip() != "0"):
        raise LaunchError(
            "no IPv6 on this machine: see sysctl net.ipv6.conf.default.disable_ipv6, or leave out --ip-family"
        )


def check_disk(home: Path, needed: int) -> None:
    """Is there room for a cluster?"""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise LaunchError(
            f"only {free / 2**20:.0f} MiB are free in {there}; a cluster needs {needed // 2**20}. "
            "Make room, or set KUBARIUM_HOME to a folder on another disk"
        )


def find(tool: str) -> str | None:
    """Where a program lies; those of system administrators count even if PATH leaves them out."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
