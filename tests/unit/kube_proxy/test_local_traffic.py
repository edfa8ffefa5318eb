"""`--detect-local-mode`: what counts as traffic from pods."""

from kube_proxy.family import IPV6
from kube_proxy.local_traffic import detector


def test_each_mode_has_its_match() -> None:
    bridge = detector("BridgeInterface", bridge="cni0")
    prefix = detector("InterfaceNamePrefix", prefix="veth")
    cluster = detector("", cluster_cidr="fd00::/64,10.244.0.0/16")
    node = detector("NodeCIDR", cluster_cidr="10.244.0.0/16", node_cidr="10.244.3.0/24")
    assert bridge and prefix and cluster and node
    assert (bridge.iptables(True), bridge.nft(False)) == ("-i cni0", 'iifname != "cni0"')
    assert (prefix.iptables(False), prefix.nft(True)) == ("! -i veth+", 'iifname "veth*"')
    assert (cluster.iptables(False), cluster.nft(True)) == ("! -s 10.244.0.0/16", "ip saddr 10.244.0.0/16")
    assert node.cidr == "10.244.3.0/24"
    second = detector("", IPV6, cluster_cidr="fd00::/64,10.244.0.0/16")
    assert second and second.nft(True) == "ip6 saddr fd00::/64"


def test_without_a_range_nothing_is_known() -> None:
    assert detector("ClusterCIDR") is None
    assert detector("ClusterCIDR", IPV6, cluster_cidr="10.244.0.0/16") is None
    assert detector("NodeCIDR", cluster_cidr="10.244.0.0/16") is None
