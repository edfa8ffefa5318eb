"""From policies and pods to the rules of one node."""

from pathlib import Path
from typing import Any

import pytest

from addons.network_policy.members import Members, pod_of
from addons.network_policy.nft import render
from addons.network_policy.nodes import Namespaces
from addons.network_policy.plan import Plan, Rule, build, ranges_of
from kubarium.api.networking import network_policy

NODE = "node-1"


def make_pod(
    name: str, address: str, node: str = NODE, namespace: str = "default", **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
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
    assert build([], members, NODE) == Plan()


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


def test_pods_of_the_host_are_none() -> None:
    assert pod_of(make_pod("proxy", "10.89.0.11", hostNetwork=True)) is None
    assert pod_of({**make_pod("new", ""), "status": {}}) is None


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
    text = render(build([make_policy(selector=app("web"), ingress=[rule])], members, NODE))
    (block,) = [word for word in text.split() if word.startswith("@block-")][:1]
    assert (
        f"ip saddr {block} tcp dport {{ 80 }} return\n    ip saddr {block} udp dport {{ 53 }} return" in text
    )
    assert "counter drop" in text and "elements = { 10.0.0.1 . 10.0.0.1 }" in text
    assert "elements = { 10.0.0.1 : jump ingress-" in text


def test_a_node_that_is_made_anew_has_no_rules_yet(tmp_path: Path) -> None:
    nodes = Namespaces(f"{tmp_path}/kb0-*")
    for name in ("kb0-node-1", "kb0-node-2", "kb1-node-1"):
        (tmp_path / name).touch()
    before = nodes.present()
    assert before.keys() == {"node-1", "node-2"} and nodes.present() == before
    (tmp_path / "new").touch()
    (tmp_path / "new").rename(tmp_path / "kb0-node-1")
    (tmp_path / "kb0-node-2").unlink()
    after = nodes.present()
    assert after.keys() == {"node-1"} and after["node-1"] is not before["node-1"]
