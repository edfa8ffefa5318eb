"""The same cluster in containers: what each container of `docker-compose.yml` runs.

    python -m kubarium.cluster.compose certificates          once: keys and kubeconfigs into the shared volume
    python -m kubarium.cluster.compose kube-apiserver [--flag=value …]
    python -m kubarium.cluster.compose node NAME             a node: containerd, kubelet and kube-proxy inside
    python -m kubarium.cluster.compose healthy PORT [PATH]   a program's own answer, as the exit code
    python -m kubarium.cluster.compose addons FOLDER         add-ons; the kubeconfig lies in FOLDER while it runs

Flags are those of `programs.py`; what is given here comes last and therefore wins.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kubarium.cluster import addons, images, keeper, node, pki, programs, state, waiting
from kubarium.cluster.shell import run
from kubarium.cluster.state import Cluster, Node
from kubarium.component_base.certificates import write_public

HOME = Path("/var/lib/kubarium")
NAME = "compose"
NETWORK = 99  # 10.89.99.0/24: outside of the networks that `kubarium up` takes
API_SERVER = "10.89.99.10"
MODULES = {
    "kube-apiserver": ("apiserver", programs.apiserver),
    "kube-controller-manager": ("controller_manager", programs.controller_manager),
    "kube-scheduler": ("scheduler", programs.scheduler),
    "cloud-controller-manager": ("cloud_controller_manager", programs.cloud),
}


def cluster() -> Cluster:
    """The cluster that the compose file describes; every container knows it without asking."""
    names = os.environ.get("KUBARIUM_NODES", "node-1 node-2 node-3").split()
    nodes = tuple(Node(name, index) for index, name in enumerate(names, start=1))
    return Cluster(
        home=HOME,
        name=NAME,
        uid="0" * 32,
        network=NETWORK,
        ports=dict(programs.PORTS),
        nodes=nodes,
        proxy_mode=os.environ.get("KUBARIUM_PROXY_MODE", "iptables"),
        api_address=API_SERVER,
    )


def certificates() -> None:
    """Make everything that is secret, once."""
    pki.make_all(cluster())
    state.save(cluster())


def become(program: str, more: Sequence[str]) -> None:
    """Turn this process into a control-plane program."""
    module, flags = MODULES[program]
    argv = [f"--{name}={value}" for name, value in flags(cluster()).items()]
    os.execv(sys.executable, [sys.executable, "-m", module, *argv, *more])


def become_network(node_name: str) -> None:
    """Turn this process into the one that keeps the routes of a container."""
    conf = str(cluster().dir / "proxy.conf")
    argv = [f"--kubeconfig={conf}", f"--node-name={node_name}", "--cni-conf-dir="]
    os.execv(sys.executable, [sys.executable, "-m", "kubarium.cluster.node_network", *argv])


def become_node(name: str) -> None:
    """Turn this container into a node; its files come from the shared volume, its images from its own image."""
    known = cluster()
    member = known.node(name)
    if member is None:
        raise SystemExit(f"there is no node {name!r} in KUBARIUM_NODES")
    _copy_credentials(known.node_dir(member))
    Path("/etc/containerd").mkdir(exist_ok=True)
    config = images.containerd_config("/var/lib/containerd", "/run/containerd", programs.CRI_SOCKET)
    write_public(Path("/etc/containerd/config.toml"), config.encode())
    for folder in ("/etc/cni/net.d", "/etc/kubernetes/manifests", "/var/log/pods", "/var/lib/cni"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    asyncio.run(_masquerade(known))
    orders = Path("/run/kubarium/programs.json")
    table = [
        replace(program, log=f"/var/log/kubarium/{program.name}.log")
        for program in programs.node_programs(known, member)
    ]
    table += [_network_program(known, name), _policy_program(known, name)]
    table.append(_import_program())
    keeper.write_programs(orders, table, Path("/run/kubarium/reports"))
    plan = node.Plan(name=name, programs=str(orders), cgroup=f"{known.cgroup}/{name}", own_root=False)
    node.write(plan, Path("/run/kubarium/plan.json"))
    node.main(Path("/run/kubarium/plan.json"))


def _copy_credentials(disk: Path) -> None:
    """The node's part of the shared volume becomes its own files."""
    shutil.copytree(disk / "etc/kubernetes", "/etc/kubernetes", dirs_exist_ok=True)
    shutil.copytree(disk / "var/lib/kubelet", "/var/lib/kubelet", dirs_exist_ok=True)


async def _masquerade(known: Cluster) -> None:
    """Beyond the nodes nobody knows the way to a pod: what leaves for there carries the node's address."""
    members = ", ".join(known.node_address(member) for member in known.nodes)
    rules = f"""
table ip kubarium
delete table ip kubarium
table ip kubarium {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {known.pod_cidr} ip daddr {{ {known.pod_cidr}, {members} }} return
        ip saddr {known.pod_cidr} oifname != "cni0" masquerade
    }}
}}
"""
    await run("nft", "-f", "-", stdin=rules)


def _network_program(known: Cluster, name: str) -> keeper.Program:
    argv = (sys.executable, "-m", "kubarium.cluster.node_network", f"--kubeconfig={known.dir}/proxy.conf")
    return keeper.Program(
        "node-network", (*argv, f"--node-name={name}"), "/var/log/kubarium/node-network.log"
    )


def _policy_program(known: Cluster, name: str) -> keeper.Program:
    argv = (sys.executable, "-m", "addons.network_policy", f"--kubeconfig={known.dir}/network-policy.conf")
    return keeper.Program(
        "network-policy", (*argv, f"--hostname-override={name}"), "/var/log/kubarium/network-policy.log"
    )


def _import_program() -> keeper.Program:
    """Brings the basic images into a new containerd, then sleeps."""
    script = (
        'until ctr -a "$0" version >/dev/null 2>&1; do sleep 0.1; done; '
        'for image in "$@"; do ctr -a "$0" -n k8s.io images import "$image"; done; exec sleep infinity'
    )
    archives = sorted(str(path) for path in Path("/usr/share/kubarium/images").glob("*.tar"))
    argv = ("sh", "-c", script, programs.CRI_SOCKET, *archives)
    return keeper.Program("images", argv, "/var/log/kubarium/images.log")


async def serve_addons(folder: Path) -> None:
    """Apply the add-ons, keep a kubeconfig in a folder of the host, and take it away in the end."""
    known = cluster()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with waiting.admin_client(known, known.server) as client:
        await waiting.until(
            lambda: waiting.api_is_ready(client), 120, lambda: "the API server does not answer", known
        )
        await waiting.until(lambda: addons.apply(client, known), 120, lambda: "add-ons were refused", known)
    target = folder / "admin.conf"
    write_public(target, known.admin_conf.read_bytes())
    try:
        await stop.wait()
    finally:
        target.unlink(missing_ok=True)


def healthy(port: str, path: str = "/healthz") -> bool:
    """Does the program of this container say that all is well?"""
    context = ssl.create_default_context(cafile=str(cluster().pki / "ca.crt"))
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context, timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def pack_images(folder: Path) -> None:
    """Make the archives that a node imports."""
    await images.pack_busybox(folder)
    images.pack_pause(folder)
    images.pack_host(folder)


def main(argv: Sequence[str]) -> None:
    """Be what the container is for."""
    match list(argv):
        case ["certificates"]:
            certificates()
        case ["node", name]:
            become_node(name)
        case ["network"]:
            become_network("")
        case ["healthy", port, *path]:
            sys.exit(not healthy(port, *path))
        case ["addons", folder]:
            asyncio.run(serve_addons(Path(folder)))
        case ["pack-images", folder]:
            asyncio.run(pack_images(Path(folder)))
        case [program, *more] if program in MODULES:
            become(program, more)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
