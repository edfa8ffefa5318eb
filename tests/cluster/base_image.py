"""The two images that `docker-compose.yml` takes from elsewhere, made here: no registry is asked for anything.

One small Debian serves as both, with all that the Dockerfile installs already in it: its steps then find nothing to
do, and need no network. The archive is made once and kept for the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

SOURCE = Path(__file__).parents[2]
CACHE = Path(os.environ.get("KUBARIUM_TEST_CACHE", "/var/cache/kubarium"))
PYTHON_IMAGE = "python:3.11-slim-bookworm"
ETCD_IMAGE = "quay.io/coreos/etcd:v3.5.9"
PACKAGES = (
    "ca-certificates python3-minimal python3 python3-pip python3-distutils libpython3.11 "
    "etcd-server etcd-client containerd runc containernetworking-plugins iptables nftables conntrack iproute2 "
    "util-linux mount procps busybox-static"
)
SUPERFLUOUS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/lib/etcd",
)


class Impossible(Exception):
    """This machine cannot make the images; the text says why."""


def archive() -> Path:
    """A root file system as `docker import` wants it."""
    recipe = (
        Path(__file__).read_bytes() + (SOURCE / "constraints.txt").read_bytes() + _requirements().encode()
    )
    target = CACHE / f"base-{hashlib.sha256(recipe).hexdigest()[:12]}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _make(target)
            for old in set(CACHE.glob("base-*.tar")) - {target}:
                old.unlink()
    return target


def _requirements() -> str:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    return "\n".join(project["dependencies"]) + "\n"


def _make(target: Path) -> None:
    root = target.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    draft = target.with_suffix(".draft")
    try:
        include = ",".join(PACKAGES.split())
        _run("debootstrap", "--variant=minbase", f"--include={include}", "bookworm", str(root))
        _install_python_packages(root)
        _make_it_look_like_python(root)
        for folder in SUPERFLUOUS:
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        _run("tar", "-C", str(root), "-cf", str(draft), "--exclude=./dev/*", "--numeric-owner", ".")
        draft.rename(target)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        draft.unlink(missing_ok=True)


def _install_python_packages(root: Path) -> None:
    wanted = root / "tmp/requirements.txt"
    wanted.write_text(_requirements())
    packages = root / "usr/local/lib/python3.11/dist-packages"
    options = ["--target", str(packages), "--python-version", "3.11", "--only-binary=:all:", "--quiet"]
    constraints = ["-c", str(SOURCE / "constraints.txt")]
    _run(sys.executable, "-m", "pip", "install", *options, *constraints, "-r", str(wanted))
    wanted.unlink()


def _make_it_look_like_python(root: Path) -> None:
    """The real image has `python`, lets pip install, and knows no other source of packages here."""
    (root / "usr/bin/python").symlink_to("python3")
    (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    (root / "etc/apt/sources.list").write_text("")


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise Impossible(f"{command[0]} failed: {(done.stdout + done.stderr)[-500:]}")
