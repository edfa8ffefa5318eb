"""From policies and pods to the rules of one node."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from addons.network_policy.leases import Lease, Leases, lease_of
from addons.network_policy.members import IPV6, Members, pod_of
from addons.network_policy.nft import render
from addons.network_policy.nodes import Namespaces
from addons.network_policy.plan import Plan, Rule, build, ranges_of
from kubarium.api.networking import network_policy
from kubarium.apimachinery.object import ObjectKey
from kubarium.component_base.inotify import FolderWatch

NODE = "node-1"


def make_pod(
    name: str, address: str, node: str = NODE, namespace: str = "default", **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}],
            **spec,
        },
        "status": {"podIP": address, "phase": "Running"},
    }


def make_policy(name: str = "p", selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    found = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"podSelector": selector or {}, **spec},
    }
    network_policy.fill_defaults(found)
    return found


def app(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app": name}}


@pytest.fixture
def members() -> Members:
    found = Members()
    for name, team in (("default", "a"), ("other", "b")):
        found.put_namespace({"metadata": {"name": name, "labels": {"team": team}}})
    found.put_pod(make_pod("web", "10.0.0.1"))
    found.put_pod(make_pod("db", "10.0.0.2"))
    found.put_pod(make_pod("far", "10.0.1.3", "node-2"))
    found.put_pod(make_pod("web", "10.0.1.4", "node-2", "other"))
    return found


def only_rules(plan: Plan) -> tuple[Rule, ...]:
    (rules,) = plan.chains.values()
    return rules


def addresses(plan: Plan, rule: Rule) -> tuple[str, ...]:
    return plan.sets[rule.peers]


def test_without_policies_nobody_is_isolated(members: Members) -> None:
    plan = build([], members, NODE)
    assert plan == Plan() and "cni0" not in render(plan, "cni0")


def test_a_policy_isolates_the_pods_of_its_node_and_namespace(members: Members) -> None:
    plan = build([make_policy()], members, NODE)
    assert set(plan.ingress) == {"10.0.0.1", "10.0.0.2"} and not plan.egress
    assert only_rules(plan) == ()


def test_policies_add_up_and_equal_pods_share_a_chain(members: Members) -> None:
    deny = make_policy(policyTypes=["Ingress", "Egress"])
    allow = make_policy("allow", app("web"), ingress=[{"from": [{"podSelector": app("far")}]}])
    plan = build([deny, allow], members, NODE)
    (rule,) = plan.chains[plan.ingress["10.0.0.1"]]
    assert addresses(plan, rule) == ("10.0.1.3",)
    assert plan.chains[plan.ingress["10.0.0.2"]] == ()
    assert plan.egress["10.0.0.1"] == plan.egress["10.0.0.2"]


def test_peers_are_found_by_namespace_and_pod(members: Members) -> None:
    def peers(**peer: Any) -> tuple[str, ...]:
        plan = build([make_policy(selector=app("db"), ingress=[{"from": [peer]}])], members, NODE)
        return addresses(plan, only_rules(plan)[0])

    assert peers(podSelector=app("web")) == ("10.0.0.1",)
    assert peers(namespaceSelector={}) == ("10.0.0.1", "10.0.0.2", "10.0.1.3", "10.0.1.4")
    assert peers(namespaceSelector={"matchLabels": {"team": "b"}}) == ("10.0.1.4",)
    assert peers(namespaceSelector={}, podSelector=app("web")) == ("10.0.0.1", "10.0.1.4")


def test_members_follow_labels_of_pods_and_namespaces(members: Members) -> None:
    policy = make_policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}])

    def allowed() -> tuple[str, ...]:
        plan = build([policy], members, NODE)
        return addresses(plan, only_rules(plan)[0])

    assert allowed() == ("10.0.0.1", "10.0.0.2", "10.0.1.3")
    assert members.put_namespace({"metadata": {"name": "other", "labels": {"team": "a"}}})
    assert "10.0.1.4" in allowed()
    assert members.remove_pod(make_pod("far", ""))
    assert members.put_pod(
        {**make_pod("db", "10.0.0.2"), "status": {"podIP": "10.0.0.2", "phase": "Succeeded"}}
    )
    assert allowed() == ("10.0.0.1", "10.0.1.4")
    assert not members.put_pod(make_pod("web", "10.0.0.1")), "nothing that matters here has changed"


def test_the_second_addresses_are_kept_apart_as_the_first() -> None:
    members, second = Members(), Members(IPV6)
    for each in (members, second):
        for number, name in enumerate(("web", "db"), 1):
            pod = make_pod(name, f"10.0.0.{number}")
            pod["status"]["podIPs"] = [{"ip": f"10.0.0.{number}"}, {"ip": f"fd00::{number}"}]
            each.put_pod(pod)
        each.put_lease(make_lease("db", "10.0.0.9,fd00::9"))
    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in ("192.0.2.0/24", "2001:db8::/32")]
    policy = make_policy(selector=app("db"), ingress=[{"from": [{"podSelector": app("web")}, *blocks]}])
    first, plan = build([policy], members, NODE), build([policy], second, NODE)
    assert set(first.ingress) == {"10.0.0.9"} and set(plan.ingress) == {"fd00::9"}
    assert sorted(plan.sets.values()) == [(), ("2001:db8::/32",), ("fd00::1",)]
    text = render(plan, "cni0")
    assert "table ip6 kubarium-network-policy" in text and "ip6 daddr vmap @ingress-pods" in text
    assert "nd-neighbor-solicit" in text and "nd-neighbor-solicit" not in render(first, "cni0")
    assert " ip saddr" not in text and "ipv4_addr" not in text
    alone = Members(IPV6)
    alone.put_pod(make_pod("web", "10.0.0.1"))
    assert second.are_any and not alone.are_any


def test_pods_of_the_host_are_none() -> None:
    assert pod_of(make_pod("proxy", "10.89.0.11", hostNetwork=True)) is None
    assert pod_of({**make_pod("new", ""), "status": {}}) is None


def make_lease(name: str, address: str, node: str = NODE, uid: str = "") -> Lease:
    return Lease(node, ObjectKey("default", name), uid or f"uid-of-{name}", tuple(address.split(",")))


def test_a_new_pod_is_isolated_before_its_status_tells_its_address(members: Members) -> None:
    deny, new = make_policy(policyTypes=["Egress"]), {**make_pod("new", ""), "status": {"phase": "Pending"}}
    early = make_lease("new", "10.0.0.9")
    assert not members.put_lease(early) and not members.remove_lease(early), "nobody knows the pod"
    members.put_lease(early)
    assert build([deny], members, NODE).known == ("10.0.0.1", "10.0.0.2"), (
        "and it must wait until somebody does"
    )
    assert members.put_pod(new)
    plan = build([deny], members, NODE)
    assert plan.egress.keys() == {"10.0.0.1", "10.0.0.2", "10.0.0.9"} == set(plan.known or ())
    text = render(plan, "cni0")
    assert 'iifname "cni0" ip saddr != @known-pods counter drop' in text
    assert 'oifname "cni0" ip daddr != @known-pods counter drop' in text


def test_the_newest_sandbox_of_a_pod_has_its_address(members: Members) -> None:
    def address() -> str:
        return next(pod.address for pod in members.on(NODE) if pod.key.name == "web")

    first, second = make_lease("web", "10.0.0.7"), make_lease("web", "10.0.0.8")
    members.put_lease(make_lease("web", "10.0.0.5", uid="an earlier one"))
    members.put_lease(make_lease("web", "10.0.1.5", node="node-2"))
    assert address() == "10.0.0.1"
    assert members.put_lease(first) and address() == "10.0.0.7"
    assert members.put_lease(second) and address() == "10.0.0.8"
    assert not members.remove_lease(first) and address() == "10.0.0.8"
    assert members.remove_lease(second) and address() == "10.0.0.1"
    mirror = make_pod("web", "")
    mirror["metadata"] |= {"uid": "of the mirror", "annotations": {"kubernetes.io/config.hash": "abc"}}
    members.put_lease(make_lease("web", "10.0.0.6", uid="abc"))
    assert members.put_pod(mirror) and address() == "10.0.0.6"


def note(name: str, *addresses: str) -> str:
    arguments = {"K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": name, "K8S_POD_UID": f"uid-of-{name}"}
    result = {"ips": [{"address": address} for address in addresses]}
    return json.dumps({"cniArgs": [["IgnoreUnknown", "1"], *arguments.items()], "result": result})


def test_what_network_plugins_note() -> None:
    assert lease_of(NODE, note("web", "10.0.0.7/24", "fd00::7/64").encode()) == make_lease(
        "web", "10.0.0.7,fd00::7"
    )
    half, loopback = note("web", "10.0.0.7/24")[:40], '{"cniArgs": null, "result": {"ips": []}}'
    for other in ("", half, loopback, note("web"), '{"cniArgs": [], "result": null}', "[]"):
        assert lease_of(NODE, other.encode()) is None


async def test_notes_are_read_as_they_are_written(tmp_path: Path) -> None:
    heard: asyncio.Queue[tuple[Lease | None, Lease | None]] = asyncio.Queue()
    results = tmp_path / NODE / "results"
    results.mkdir(parents=True)
    (results / "old-eth0").write_text(note("old", "10.0.0.3/24"))
    old, web = make_lease("old", "10.0.0.3"), make_lease("web", "10.0.0.7")
    with contextlib.closing(FolderWatch()) as watch:
        leases = Leases(f"{tmp_path}/*", watch, lambda before, now: heard.put_nowait((before, now)))
        leases.follow([NODE, "of another machine"])
        leases.follow([NODE])
        async with asyncio.timeout(60):
            assert await heard.get() == (None, old)
            (results / "web-eth0").write_text(note("web", "10.0.0.7/24"))
            assert await heard.get() == (None, web)
            (results / "old-eth0").unlink()
            assert await heard.get() == (old, None)
            draft = tmp_path / NODE / "kubelet" / "a.draft"
            draft.write_text(note("web", "10.0.0.8/24"))
            draft.rename(draft.with_suffix(".json"))
            assert await heard.get() == (
                None,
                make_lease("web", "10.0.0.8"),
            )  # the draft was not there for us
    assert heard.empty()


def test_ports_are_numbers_ranges_or_names_of_the_pod(members: Members) -> None:
    def ports(*wanted: dict[str, Any]) -> set[tuple[str, tuple[str, ...]]]:
        plan = build([make_policy(selector=app("web"), ingress=[{"ports": list(wanted)}])], members, NODE)
        return {(rule.protocol, rule.ports) for rule in only_rules(plan)}

    assert ports({"port": 80}, {"port": 90, "endPort": 99}) == {("tcp", ("80", "90-99"))}
    assert ports({"port": 53, "protocol": "UDP"}, {"port": 53}) == {("tcp", ("53",)), ("udp", ("53",))}
    assert ports({"port": "http"}) == {("tcp", ("8080",))}
    assert ports({"port": "nothing"}) == set(), "a name that the pod does not know allows nothing"
    assert ports({"protocol": "UDP"}, {"port": 53, "protocol": "UDP"}) == {("udp", ())}


def test_what_goes_out_to_a_named_port_depends_on_the_other_pod(members: Members) -> None:
    rule = {"to": [{"podSelector": app("db")}], "ports": [{"port": "http"}]}
    plan = build([make_policy(selector=app("web"), egress=[rule], policyTypes=["Egress"])], members, NODE)
    assert plan.targets == {only_rules(plan)[0].targets: ("10.0.0.2 . tcp . 8080",)}


def test_blocks_have_holes() -> None:
    assert ranges_of("10.0.0.0/8", []) == ["10.0.0.0/8"]
    assert ranges_of("10.0.0.0/30", ["10.0.0.1/32"]) == ["10.0.0.0/32", "10.0.0.2/31"]
    assert ranges_of("10.0.0.0/30", ["10.0.0.0/31", "10.0.0.0/32"]) == ["10.0.0.2/31"]
    assert ranges_of("fd00::/64", []) == []


def test_the_table_says_what_the_plan_says(members: Members) -> None:
    rule = {
        "from": [{"ipBlock": {"cidr": "10.9.0.0/16"}}],
        "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}],
    }
    text = render(build([make_policy(selector=app("web"), ingress=[rule])], members, NODE), "cni0")
    (block,) = [word for word in text.split() if word.startswith("@block-")][:1]
    assert (
        f"ip saddr {block} tcp dport {{ 80 }} return\n    ip saddr {block} udp dport {{ 53 }} return" in text
    )
    assert "counter drop" in text and "elements = { 10.0.0.1 . 10.0.0.1 }" in text
    assert "elements = { 10.0.0.1 : jump ingress-" in text


def test_a_node_that_is_made_anew_has_no_rules_yet(tmp_path: Path) -> None:
    nodes = Namespaces(f"{tmp_path}/kb0-*", "cni0")
    for name in ("kb0-node-1", "kb0-node-2", "kb1-node-1"):
        (tmp_path / name).touch()
    before = nodes.present()
    assert before.keys() == {"node-1", "node-2"} and nodes.present() == before
    (tmp_path / "new").touch()
    (tmp_path / "new").rename(tmp_path / "kb0-node-1")
    (tmp_path / "kb0-node-2").unlink()
    after = nodes.present()
    assert after.keys() == {"node-1"} and after["node-1"] is not before["node-1"]
