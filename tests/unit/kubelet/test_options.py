from __future__ import annotations

from pathlib import Path

from kubelet.options import read


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "{apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration, maxPods: 30, clusterDNS: [10.96.0.10],"
        " syncFrequency: 30s, evictionHard: {memory.available: 1Gi}, authentication: {anonymous: {enabled: false}},"
        " staticPodPath: /etc/kubernetes/manifests}"
    )
    options = read(["--config", str(file), "--hostname-override=Node-1", "--max-pods", "40"])
    assert (options.max_pods, options.cluster_dns, options.sync_frequency) == (40, ("10.96.0.10",), 30)
    assert options.eviction_thresholds == {"memory.available": "1Gi"} and not options.anonymous_auth
    assert options.pod_manifest_path == "/etc/kubernetes/manifests" and options.node_name == "node-1"
