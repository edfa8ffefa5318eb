"""Flags and file of kube-proxy: upstream's defaults, rules and texts."""

from pathlib import Path

import pytest
import yaml

from kube_proxy import configuration
from kube_proxy.options import OptionsError, read

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(HEAD + text)
    return f"--config={path}"


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    given = read(["--proxy-mode=nftables", "--conntrack-min=7", "--nodeport-addresses=10.0.0.0/8"])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(configuration.document_of(given)))
    again = read([f"--config={path}"])
    assert configuration.document_of(again) == configuration.document_of(given)
    assert again.conntrack_min == 7 and again.mode == "nftables"


def test_the_document_has_upstreams_defaults() -> None:
    document = configuration.document_of(read([]))
    assert document["conntrack"]["tcpEstablishedTimeout"] == "24h0m0s"
    assert document["iptables"] == {
        "masqueradeBit": 14,
        "masqueradeAll": False,
        "localhostNodePorts": True,
        "syncPeriod": "30s",
        "minSyncPeriod": "1s",
    }
    assert document["configSyncPeriod"] == "15m0s" and document["oomScoreAdj"] == -999


def test_with_a_file_other_flags_do_not_count_but_for_the_name(tmp_path: Path) -> None:
    argv = [
        file(tmp_path, "clusterCIDR: 10.1.0.0/16\n"),
        "--cluster-cidr=10.2.0.0/16",
        "--hostname-override=n",
    ]
    options = read(argv)
    assert options.cluster_cidr == "10.1.0.0/16" and options.node_name == "n"


def test_each_mode_has_its_own_section(tmp_path: Path) -> None:
    sections = "nftables: {minSyncPeriod: 2s}\niptables: {minSyncPeriod: 3s, localhostNodePorts: false}\n"
    assert read([file(tmp_path, f"mode: nftables\n{sections}")]).iptables_min_sync_period == 2.0
    assert read([file(tmp_path, sections)]).iptables_min_sync_period == 3.0
    assert read([file(tmp_path, sections)]).iptables_localhost_nodeports is False


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "mod: iptables\niptables: {bit: 1}\n",
            'strict decoding error: unknown field "iptables.bit", unknown field "mod"',
        ),
        ("mode: userspace\n", 'Mode.ProxyMode: Invalid value: "userspace": must be iptables, ipvs, nftables or blank'),
        ("metricsBindAddress: localhost:80\n", 'MetricsBindAddress: Invalid value: "localhost": must be a valid IP'),
        ("conntrack: {min: -1}\n", "KubeProxyConntrackConfiguration.Min: Invalid value: -1: must be greater than or"),
        ("clusterCIDR: 10.0.0.0/8,10.1.0.0/16\n", "must be a valid DualStack CIDR (e.g. 10.100.0.0/16,fde4:8dba:82e1"),
        ("detectLocalMode: BridgeInterface\n", 'InterfaceName: Invalid value: "": must not be empty'),
        ("nodePortAddresses: [primary, 10.0.0.0/8]\n", "can't use both 'primary' and CIDRs"),
        ("mode: ipvs\n", "proxy mode ipvs is not supported here"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(OptionsError) as error:
        read([file(tmp_path, text)])
    assert problem in str(error.value)


def test_gates_of_the_file_are_checked_too(tmp_path: Path) -> None:
    words = "^failed complete: cannot set feature gate NFTablesProxyMode to false, feature is locked to true$"
    with pytest.raises(OptionsError, match=words):
        read([file(tmp_path, "featureGates: {NFTablesProxyMode: false}\n")])
