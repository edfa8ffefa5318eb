"""The flags that a cluster's programs get."""

from __future__ import annotations

import json
from pathlib import Path

from kubarium.cluster import addons, programs, state
from kubarium.cluster.state import Cluster, Node


def cluster(tmp_path: Path, network: int = 0) -> Cluster:
    nodes = (Node("node-1", 1), Node("node-2", 2))
    return Cluster(tmp_path, "t", "0123456789", network, dict(programs.PORTS), nodes)


def test_a_saved_cluster_comes_back_as_it_was(tmp_path: Path) -> None:
    made = cluster(tmp_path)
    state.save(made)
    assert state.load(tmp_path, "t") == made
    assert state.names(tmp_path) == ["t"]


def test_clusters_side_by_side_share_no_address(tmp_path: Path) -> None:
    one, other = cluster(tmp_path, 0), cluster(tmp_path, 1)
    assert not one.subnet.overlaps(other.subnet)
    assert (one.pod_cidr, other.pod_cidr) == ("10.244.0.0/16", "10.243.0.0/16")
    assert one.bridge != other.bridge


def test_a_cluster_of_two_families_has_two_of_each(tmp_path: Path) -> None:
    one, dual = cluster(tmp_path, 3), Cluster(**{**vars(cluster(tmp_path, 3)), "ip_family": "dual"})
    flags = (
        programs.apiserver(dual) | programs.controller_manager(dual) | programs.kubelet(dual, dual.nodes[1])
    )
    assert flags["service-cluster-ip-range"] == "10.96.0.0/12,fd00:10:96::/112"
    assert flags["cluster-cidr"] == "10.241.0.0/16,fd00:10:241::/56"
    assert flags["node-ip"] == "10.89.3.12,fd00:10:89:3::12"
    assert programs.kube_proxy(dual, dual.nodes[0])["cluster-cidr"] == flags["cluster-cidr"]
    assert "fd" not in str(programs.apiserver(one)["service-cluster-ip-range"] + one.pod_cidrs)
    assert programs.kubelet(one, one.nodes[1])["node-ip"] == "10.89.3.12"


def test_a_kubelet_is_found_where_its_flags_put_it(tmp_path: Path) -> None:
    made = cluster(tmp_path)
    moved = Cluster(**{**vars(made), "extra": {"node-2/kubelet": {"root-dir": "/kubelet"}}})
    assert [programs.kubelet_root(moved, node) for node in made.nodes] == ["/var/lib/kubelet", "/kubelet"]


def test_users_may_set_flags(tmp_path: Path) -> None:
    made = cluster(tmp_path)
    extra = {"kube-controller-manager": {"node-monitor-grace-period": "10s", "leader-elect": "false"}}
    changed = Cluster(**{**vars(made), "extra": extra})
    table = {program.name: program.argv for program in programs.host_programs(changed)}
    assert "--node-monitor-grace-period=10s" in table["kube-controller-manager"]
    assert "--leader-elect=false" in table["kube-controller-manager"]
    assert "--leader-elect=true" in table["kube-scheduler"]


def test_a_program_that_was_stopped_is_not_started_and_can_be_run_by_hand(tmp_path: Path) -> None:
    made = cluster(tmp_path)
    made = Cluster(**{**vars(made), "stopped": ("kube-scheduler", "node-2/kubelet")})
    state.save(made)
    assert state.load(tmp_path, "t") == made
    unwanted = {program.name for program in programs.host_programs(made) if not program.wanted}
    assert unwanted == {"kube-scheduler"}
    inside = {node.name: programs.node_programs(made, node) for node in made.nodes}
    unwanted = {(name, each.name) for name, table in inside.items() for each in table if not each.wanted}
    assert unwanted == {("node-2", "kubelet")}
    scheduler, kubelet = (programs.by_hand(made, name) or "" for name in made.stopped)
    assert " -m scheduler --kubeconfig=" in scheduler
    assert " node exec node-2 -- env " in kubelet and "--hostname-override=node-2" in kubelet
    assert programs.by_hand(made, "node-1") is None


def test_a_node_that_is_off_is_killed_not_asked(tmp_path: Path) -> None:
    made = cluster(tmp_path).with_node(Node("node-2", 2, on=False))
    table = {program.name: program for program in programs.host_programs(made)}
    assert (table["node-1"].wanted, table["node-2"].wanted, table["node-2"].off_signal) == (True, False, 9)


def test_the_manifests_can_be_filled_in(tmp_path: Path) -> None:
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in addons.objects(cluster(tmp_path))}
    service = objects[("Service", "kube-dns")]
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    deployment = objects[("Deployment", "coredns")]
    assert deployment["spec"]["replicas"] == 2
    pod = deployment["spec"]["template"]["spec"]
    assert {each["name"] for each in pod["volumes"]} == {
        each["name"] for each in pod["containers"][0]["volumeMounts"]
    }
    json.dumps(list(objects.values()))
