"""How many connections the node tracks, and for how long."""

from kube_proxy.kernel import wanted_sysctls
from kube_proxy.options import read


def test_the_table_grows_with_the_cores() -> None:
    names = {name.rpartition("nf_conntrack_")[2]: value for name, value in wanted_sysctls(read([]), 2)}
    assert names == {"max": 131072, "tcp_timeout_established": 86400, "tcp_timeout_close_wait": 3600}
    assert dict(wanted_sysctls(read([]), 64))["net/netfilter/nf_conntrack_max"] == 64 * 32768


def test_zero_leaves_things_as_they_are() -> None:
    argv = ["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s"]
    argv += [
        "--conntrack-tcp-timeout-close-wait=0s",
        "--conntrack-tcp-be-liberal",
        "--conntrack-udp-timeout=9s",
    ]
    assert list(wanted_sysctls(read(argv), 2)) == [
        ("net/netfilter/nf_conntrack_tcp_be_liberal", 1),
        ("net/netfilter/nf_conntrack_udp_timeout", 9),
    ]
