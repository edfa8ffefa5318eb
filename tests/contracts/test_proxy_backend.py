"""Every backend of kube-proxy makes the kernel do the same: real packets between real network namespaces."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.families import has_ipv6

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("iptables"), reason="needs root and iptables"
)

SERVE = """
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{sys.argv[1]} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()
server = Server((sys.argv[2], 8080), Handler)
print("ready", flush=True)
server.serve_forever()
"""

APPLY = """
import asyncio, json, sys
from kube_proxy.app import BACKENDS
from kube_proxy.backends.backend import Settings
from kube_proxy.endpoints import Endpoint
from kube_proxy.family import family_of
from kube_proxy.local_traffic import LocalTraffic
from kube_proxy.ruleset import build_ruleset
from kube_proxy.services import PortName, ServicePort
from kube_proxy.topology import NodeView

async def main():
    cidr, family = sys.argv[2], family_of(sys.argv[2])
    settings = Settings(LocalTraffic(cidr), 0x4000, localhost_node_ports=family.name == "IPv4", family=family)
    backend = BACKENDS[sys.argv[1]](settings)
    await backend.prepare()
    first = True
    for line in sys.stdin:
        wanted = json.loads(line)
        if isinstance(wanted, str):
            print(await getattr(backend, wanted)(), flush=True)
            continue
        services, endpoints = [], {}
        for port in wanted:
            name = PortName("default", port.pop("service"), "", "TCP")
            endpoints[name] = [Endpoint(ip, 8080, node) for ip, node in port.pop("endpoints")]
            services.append(ServicePort(name, **port))
        await backend.apply(build_ruleset(services, endpoints, NodeView("node-1")), full=first)
        first = False
        print("applied", flush=True)

asyncio.run(main())
"""

CLEAN_UP = """
import asyncio, sys
from kube_proxy.app import clean_up_after_others
from kube_proxy.backends.backend import Settings
asyncio.run(clean_up_after_others(sys.argv[1], Settings(None, 0x4000)))
"""


class Node:
    """A namespace that plays the node, with a bridge and two namespaces that play pods."""

    def __init__(self, stack: ExitStack, backend: str) -> None:
        self.stack, self.pods = stack, "10.244.0.0/16"
        self.prefix = f"kbt{os.getpid()}"
        self.namespace = f"{self.prefix}-node"
        self._add_namespace(stack, self.namespace)
        self.run("ip link add cni0 type bridge")
        self.run("ip addr add 10.244.1.1/24 dev cni0")
        self.run("ip link set cni0 up")
        self.run("sysctl -qw net.ipv4.ip_forward=1")
        self.run("ip link add world type bridge")
        self.run("ip addr add 192.168.77.1/24 dev world")
        self.run("ip link set world up")
        self.run("ip route add default dev world")
        for number in (2, 3):
            self._add_pod(stack, number)
        self._add_stranger(stack)
        self.mode = backend
        self.backend = self._start_backend()
        stack.callback(lambda: self._end(self.backend))

    def clean_up_after_others(self, mode: str) -> None:
        """What kube-proxy does when it starts in a mode."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, "-c", CLEAN_UP, mode]
        subprocess.run(words, check=True, env=environment)

    def _start_backend(self) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, "-c", APPLY, self.mode, self.pods],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def restart(self) -> None:
        """A new life of the proxy, which finds what the old one left."""
        self._end(self.backend)
        self.backend = self._start_backend()

    def apply(self, *ports: dict) -> None:
        assert self._ask(ports) == "applied"

    def intact(self) -> bool:
        return self._ask("intact") == "True"

    def clean_up(self) -> None:
        assert self._ask("clean_up") == "None"

    def _ask(self, what: object) -> str:
        assert self.backend.stdin and self.backend.stdout
        self.backend.stdin.write(json.dumps(what) + "\n")
        self.backend.stdin.flush()
        return self.backend.stdout.readline().strip()

    def run(self, command: str, namespace: str = "") -> str:
        words = ["nsenter", f"--net=/run/netns/{namespace or self.namespace}", *command.split()]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def get(self, url: str, pod: int | None = None, stranger: bool = False) -> str:
        """What curl says, from the node, a pod or outside; its exit code as text when it fails."""
        namespace = f"{self.prefix}-pod{pod}" if pod else self.namespace
        namespace = f"{self.prefix}-stranger" if stranger else namespace
        # What the kernel drops is known after three seconds; a server may take longer to answer on a loaded machine.
        patience = ["--connect-timeout", "3", "--max-time", "60"]
        words = ["nsenter", f"--net=/run/netns/{namespace}", "curl", "-s", *patience, url]
        result = subprocess.run(words, capture_output=True, text=True)
        return result.stdout if result.returncode == 0 else f"failed {result.returncode}"

    def _add_namespace(self, stack: ExitStack, name: str) -> None:
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
        self.run("ip link set lo up", name)

    def _add_pod(self, stack: ExitStack, number: int) -> None:
        name, link = f"{self.prefix}-pod{number}", f"veth{number}"
        self._add_namespace(stack, name)
        self.run(f"ip link add {link} type veth peer name eth0 netns {name}")
        self.run(f"ip link set {link} master cni0 up")
        self.run(f"bridge link set dev {link} hairpin on")
        self.run(f"ip addr add 10.244.1.{number}/24 dev eth0", name)
        self.run("ip link set eth0 up", name)
        self.run("ip route add default via 10.244.1.1", name)
        self._serve(name, f"pod{number}", "0.0.0.0")

    def _serve(self, namespace: str, *words: str) -> None:
        server = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-c", SERVE, *words],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.stack.callback(self._end, server)
        assert server.stdout and server.stdout.readline().strip() == "ready"

    def change_to_ipv6(self) -> None:
        """The same with other addresses; the rules of the first family stay."""
        self.pods = "fd00:10:244::/56"
        self.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
        self.run("ip addr add fd00:10:244:1::1/64 dev cni0 nodad")
        self.run("ip addr add fd00:77::1/64 dev world nodad")
        self.run("ip -6 route add default dev world")
        for number in (2, 3):
            name = f"{self.prefix}-pod{number}"
            self.run(f"ip addr add fd00:10:244:1::{number}/64 dev eth0 nodad", name)
            self.run("ip -6 route add default via fd00:10:244:1::1", name)
            self._serve(name, f"pod{number}", "::")
        name = f"{self.prefix}-stranger"
        self.run("ip addr add fd00:77::9/64 dev eth0 nodad", name)
        self.run("ip -6 route add default via fd00:77::1", name)
        self.restart()

    def _add_stranger(self, stack: ExitStack) -> None:
        """Somebody outside the cluster."""
        name = f"{self.prefix}-stranger"
        self._add_namespace(stack, name)
        self.run(f"ip link add stranger type veth peer name eth0 netns {name}")
        self.run("ip link set stranger master world up")
        self.run("ip addr add 192.168.77.9/24 dev eth0", name)
        self.run("ip link set eth0 up", name)
        self.run("ip route add default via 192.168.77.1", name)

    @staticmethod
    def _end(process: subprocess.Popen) -> None:
        process.kill()
        process.communicate()


@pytest.fixture(params=["iptables", "nftables"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(stack, request.param)


BOTH = [["10.244.1.2", "node-1"], ["10.244.1.3", "node-1"]]
WEB = {"service": "web", "cluster_ip": "10.96.0.20", "port": 80, "node_port": 30080, "endpoints": BOTH}


def who(answers: list[str]) -> set[str]:
    return {answer.split()[0] for answer in answers}


def test_a_cluster_ip_reaches_every_endpoint(node: Node) -> None:
    node.apply(WEB)
    assert who([node.get("http://10.96.0.20/") for _ in range(24)]) == {"pod2", "pod3"}
    assert who([node.get("http://10.96.0.20/", pod=2) for _ in range(24)]) == {"pod2", "pod3"}


def test_a_pod_that_reaches_itself_is_masqueraded(node: Node) -> None:
    node.apply({**WEB, "endpoints": BOTH[:1]})
    assert node.get("http://10.96.0.20/", pod=2) == "pod2 10.244.1.1"


def test_a_node_port_is_open_on_every_address_of_the_node(node: Node) -> None:
    node.apply(WEB)
    assert node.get("http://10.244.1.1:30080/", pod=2).startswith("pod")
    assert node.get("http://192.168.77.1:30080/").startswith("pod")


def test_without_endpoints_the_answer_is_a_refusal_at_once(node: Node) -> None:
    node.apply({**WEB, "endpoints": []})
    assert node.get("http://10.96.0.20/", pod=2) == "failed 7"
    assert node.get("http://10.96.0.20/") == "failed 7"


def test_changes_replace_what_was_there(node: Node) -> None:
    node.apply(WEB)
    node.apply({**WEB, "endpoints": BOTH[1:]})
    assert who([node.get("http://10.96.0.20/") for _ in range(12)]) == {"pod3"}
    node.apply()
    assert node.get("http://10.96.0.20/").startswith("failed")


def test_affinity_keeps_a_client_at_its_endpoint(node: Node) -> None:
    sticky = {**WEB, "affinity_seconds": 600}
    node.apply(sticky)
    first = who([node.get("http://10.96.0.20/") for _ in range(12)])
    assert len(first) == 1
    other = {**WEB, "service": "other", "cluster_ip": "10.96.0.21", "node_port": 30081}
    node.apply(sticky, other)  # what happens to other Services does not make this one forget
    assert who([node.get("http://10.96.0.20/") for _ in range(12)]) == first
    node.apply(WEB, other)
    assert who([node.get("http://10.96.0.20/") for _ in range(24)]) == {"pod2", "pod3"}


def test_a_restart_keeps_what_is_there(node: Node) -> None:
    sticky = {**WEB, "affinity_seconds": 600}
    node.apply(sticky, {**WEB, "service": "gone", "cluster_ip": "10.96.0.22", "node_port": 30082})
    first = node.get("http://10.96.0.20/")
    node.restart()
    node.apply(sticky)
    assert {node.get("http://10.96.0.20/") for _ in range(12)} == {first}
    assert node.get("http://10.96.0.22/").startswith("failed")


def test_a_local_policy_leaves_out_other_nodes(node: Node) -> None:
    elsewhere = [["10.244.1.2", "node-1"], ["10.244.1.3", "node-2"]]
    node.apply({**WEB, "endpoints": elsewhere, "internal_local": True, "external_local": True})
    assert who([node.get("http://10.96.0.20/") for _ in range(12)]) == {"pod2"}
    assert who([node.get("http://10.244.1.1:30080/", stranger=True) for _ in range(6)]) == {"pod2"}
    # Pods of the cluster are not from outside, whatever address they use.
    assert who([node.get("http://10.244.1.1:30080/", pod=3) for _ in range(24)]) == {"pod2", "pod3"}
    node.apply({**WEB, "endpoints": elsewhere[1:], "external_local": True})
    assert node.get("http://10.244.1.1:30080/", stranger=True) == "failed 28"
    assert who([node.get("http://10.244.1.1:30080/", pod=2), node.get("http://10.244.1.1:30080/")]) == {
        "pod3"
    }


def test_external_addresses_lead_to_the_service(node: Node) -> None:
    node.apply({**WEB, "external_ips": ["192.168.99.9"]})
    assert node.get("http://192.168.99.9/", pod=2).startswith("pod")


def test_a_load_balancer_lets_only_its_sources_in(node: Node) -> None:
    balanced = {**WEB, "load_balancer_ips": ["192.168.99.9"], "source_ranges": ["192.168.77.0/24"]}
    node.run("ip route add 192.168.99.9 via 192.168.77.1", f"{node.prefix}-stranger")
    node.apply(balanced)
    assert node.get("http://192.168.99.9/", stranger=True).startswith("pod")
    node.apply({**balanced, "source_ranges": ["192.168.78.0/24"]})
    assert node.get("http://192.168.99.9/", stranger=True) == "failed 28"
    assert node.get("http://10.96.0.20/", pod=2).startswith("pod")


def test_rules_that_others_flushed_are_missed(node: Node) -> None:
    node.apply(WEB)
    assert node.intact()
    if node.mode == "iptables":
        for command in ("-t nat -F", "-t nat -X", "-t filter -F", "-t filter -X"):
            node.run(f"iptables {command}")
    else:
        node.run("nft flush ruleset")
    assert not node.intact()
    node.restart()
    node.apply(WEB)
    assert node.intact() and node.get("http://10.96.0.20/").startswith("pod")


def test_the_second_family_is_served_beside_the_first(node: Node) -> None:
    if not has_ipv6():
        pytest.skip("this kernel gives links no IPv6 addresses, or does not translate them")
    node.apply(WEB)
    node.change_to_ipv6()
    both = [["fd00:10:244:1::2", "node-1"], ["fd00:10:244:1::3", "node-2"]]
    web = {**WEB, "cluster_ip": "fd00:10:96::20", "endpoints": both}
    node.apply({**web, "affinity_seconds": 600, "endpoints": both[:1], "external_local": True})
    assert node.intact()
    assert node.get("http://[fd00:10:96::20]/", pod=2) == "pod2 fd00:10:244:1::1"  # a pod that reaches itself
    assert node.get("http://[fd00:77::1]:30080/", stranger=True) == "pod2 fd00:77::9"
    node.apply({**web, "load_balancer_ips": ["fd00:99::9"], "source_ranges": ["fd00:77::/64"]})
    chosen: set[str] = set()
    for _ in range(24):
        chosen |= {node.get("http://[fd00:10:96::20]/", pod=2).split()[0]} if len(chosen) < 2 else set()
    assert chosen == {"pod2", "pod3"}
    assert node.get("http://[fd00:10:96::20]/").startswith("pod")
    assert node.get("http://[fd00:10:244:1::1]:30080/", pod=3).startswith("pod")
    assert node.get("http://[fd00:99::9]/", stranger=True).startswith("pod")
    assert node.get("http://10.96.0.20/", pod=2).startswith("pod")
    node.apply({**web, "endpoints": []})
    assert node.get("http://[fd00:10:96::20]/", pod=2) == "failed 7"
    node.clean_up()
    assert not node.intact() and node.get("http://10.96.0.20/").startswith("pod")


def test_nothing_is_left_after_a_clean_up(node: Node) -> None:
    node.run("nft add table ip somebody")
    node.apply(WEB)
    node.clean_up()
    left = node.run("iptables-save") + node.run("nft list ruleset")
    assert "KUBE-" not in left and "kube-proxy" not in left and "table ip somebody" in left


def test_whoever_starts_in_another_mode_cleans_up(node: Node) -> None:
    node.apply(WEB)
    node.clean_up_after_others(node.mode)
    assert node.intact()
    node.clean_up_after_others("nftables" if node.mode == "iptables" else "iptables")
    assert not node.intact() and node.get("http://10.96.0.20/").startswith("failed")
