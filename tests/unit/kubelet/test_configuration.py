from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelet import configuration
from kubelet.configuration import Invalid, read
from kubelet.options import Options

HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


def file_of(tmp_path: Path, **fields: Any) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(HEAD | fields))
    return str(file)


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        maxPods=30,
        clusterDNS=["10.96.0.10"],
        syncFrequency="30s",
        evictionHard={"memory.available": "1Gi"},
        authentication={"anonymous": {"enabled": False}, "x509": {"clientCAFile": "/ca"}},
        staticPodPath="/etc/kubernetes/manifests",
        memorySwap={"swapBehavior": "LimitedSwap"},
        shutdownGracePeriodByPodPriority=[{"priority": 100, "shutdownGracePeriodSeconds": 5}],
        registerWithTaints=[{"key": "a", "effect": "NoSchedule"}],
        unheardOf=1,
    )
    options = read(["--config", file, "--hostname-override=Node-1", "--max-pods", "40"])
    assert (options.max_pods, options.cluster_dns, options.sync_frequency) == (40, ("10.96.0.10",), 30)
    assert options.eviction_thresholds == {"memory.available": "1Gi"} and not options.anonymous_auth
    assert options.pod_manifest_path == "/etc/kubernetes/manifests" and options.node_name == "node-1"
    assert (options.client_ca_file, options.swap_behavior) == ("/ca", "LimitedSwap")
    assert options.shutdown_grace_period_by_pod_priority == {"100": "5"}
    assert options.register_with_taints == ("a=:NoSchedule",)


def test_what_is_shown_can_be_read_again() -> None:
    options = Options(
        eviction_soft=("memory.available<1Gi",), shutdown_grace_period_by_pod_priority={"1": "2"}
    )
    shown = configuration.as_configuration(options)
    assert shown["imageGCHighThresholdPercent"] == 85 and shown["syncFrequency"] == "1m0s"
    assert shown["authentication"]["anonymous"] == {"enabled": True}
    assert shown["evictionHard"]["nodefs.available"] == "10%"
    assert shown["imagePullCredentialsVerificationPolicy"] == "NeverVerifyPreloadedImages"
    assert configuration.from_file(shown) == options


def test_defaults_of_thresholds_may_be_kept() -> None:
    given = {**HEAD, "evictionHard": {"memory.available": "1Gi"}, "mergeDefaultEvictionSettings": True}
    found = configuration.from_file(given).eviction_thresholds
    assert (found["memory.available"], found["nodefs.available"]) == ("1Gi", "10%")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "Other"}, 'no kind "Other" is registered for version "kubelet.config.k8s.io/v1beta1"'),
        ({"maxPods": -1}, "invalid configuration: maxPods (--max-pods) -1 must not be a negative number"),
        (
            {"imageGCHighThresholdPercent": 101},
            "imageGCHighThresholdPercent (--image-gc-high-threshold) 101 must be between 0 and 100, inclusive",
        ),
        (
            {"imageGCLowThresholdPercent": 90},
            "imageGCLowThresholdPercent (--image-gc-low-threshold) 90 must be less than "
            "imageGCHighThresholdPercent (--image-gc-high-threshold) 85",
        ),
        (
            {"shutdownGracePeriod": "1s", "shutdownGracePeriodCriticalPods": "2s"},
            "shutdownGracePeriodCriticalPods {2s} must be <= shutdownGracePeriod {1s}",
        ),
        (
            {"shutdownGracePeriod": "1ms"},
            "shutdownGracePeriod {1ms} must be either zero or otherwise >= 1 sec",
        ),
        (
            {"enforceNodeAllocatable": ["system-reserved"]},
            "systemReservedCgroup (--system-reserved-cgroup) must be specified when",
        ),
        ({"nodeLeaseDurationSeconds": 0}, "nodeLeaseDurationSeconds must be greater than 0"),
        ({"imageMaximumGCAge": "1s"}, "imageMaximumGCAge 1s must be greater than imageMinimumGCAge 2m0s"),
        (
            {"serializeImagePulls": True, "maxParallelImagePulls": 3},
            "maxParallelImagePulls cannot be larger than 1",
        ),
    ],
)
def test_what_cannot_be(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(["--config", file_of(tmp_path, **fields)])
    assert words in str(refused.value)


def test_a_flag_that_belongs_into_the_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(
        [
            f"--config={file_of(tmp_path)}",
            "--node-ip=10.0.0.1",
            "--max-pods=5",
            "--maximum-dead-containers=3",
            "-v=2",
        ]
    )
    lines = sorted(capsys.readouterr().err.splitlines())
    assert [line.partition(",")[0] for line in lines] == [
        "Flag --max-pods has been deprecated",
        "Flag --maximum-dead-containers has been deprecated",
    ]
    assert "should be set via the config file specified by the Kubelet's --config flag" in lines[0]
    assert "Use --eviction-hard or --eviction-soft instead" in lines[1]
