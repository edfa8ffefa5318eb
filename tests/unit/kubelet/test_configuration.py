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


# As kubeadm writes it: zero of most fields means their default.
KUBEADM = {
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"cacheTTL": "0s", "enabled": True},
        "x509": {"clientCAFile": "/ca"},
    },
    "authorization": {
        "mode": "Webhook",
        "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"},
    },
    "cgroupDriver": "cgroupfs",
    "clusterDNS": ["10.96.0.10"],
    "clusterDomain": "cluster.local",
    "containerRuntimeEndpoint": "",
    "cpuManagerReconcilePeriod": "0s",
    "crashLoopBackOff": {},
    "evictionPressureTransitionPeriod": "0s",
    "fileCheckFrequency": "0s",
    "healthzBindAddress": "127.0.0.1",
    "healthzPort": 10248,
    "httpCheckFrequency": "0s",
    "imageMaximumGCAge": "0s",
    "imageMinimumGCAge": "0s",
    "logging": {"flushFrequency": 0, "options": {"json": {"infoBufferSize": "0"}}, "verbosity": 0},
    "memorySwap": {},
    "nodeStatusReportFrequency": "0s",
    "nodeStatusUpdateFrequency": "0s",
    "rotateCertificates": True,
    "runtimeRequestTimeout": "0s",
    "shutdownGracePeriod": "0s",
    "shutdownGracePeriodCriticalPods": "0s",
    "staticPodPath": "/etc/kubernetes/manifests",
    "streamingConnectionIdleTimeout": "0s",
    "syncFrequency": "0s",
    "volumeStatsAggPeriod": "0s",
}


def test_the_file_of_kubeadm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = read(["--config", file_of(tmp_path, **KUBEADM, oomScoreAdj=0, registryPullQPS=0)])
    plain = Options()
    for name in ("container_runtime_endpoint", "sync_frequency", "file_check_frequency", "report_frequency"):
        assert getattr(options, name) == getattr(plain, name), name
    assert options.pod_manifest_path == "/etc/kubernetes/manifests" and not options.anonymous_auth
    assert (options.oom_score_adj, options.registry_qps) == (0, 0), "of these, zero is a value"
    assert "unknown field" not in caplog.text


def test_drop_ins_change_the_file_by_name(tmp_path: Path) -> None:
    file = file_of(tmp_path, maxPods=30, systemReserved={"cpu": "1"}, featureGates={"NodeLogQuery": True})
    folder = tmp_path / "config.d"
    (folder / "90").mkdir(parents=True)
    for name, fields in {
        "20-b.conf": {"maxPods": 50, "clusterDNS": ["10.0.0.2"], "evictionHard": {"memory.available": "1Gi"}},
        "10-a.conf": {"maxPods": 40, "podPidsLimit": 7, "systemReserved": {"memory": "1Gi"}},
        "90/z.conf": {"featureGates": {"KubeletInUserNamespace": True}},
        "30-not.yaml": {"maxPods": 60},
    }.items():
        (folder / name).write_text(yaml.safe_dump(HEAD | fields))
    arguments = ["--config", file, "--config-dir", str(folder)]
    options = read(arguments)
    assert (options.max_pods, options.pod_max_pids, options.cluster_dns) == (50, 7, ("10.0.0.2",))
    assert options.system_reserved == {"cpu": "1", "memory": "1Gi"}
    found = options.eviction_thresholds
    assert (found["memory.available"], found["nodefs.available"]) == ("1Gi", "10%")
    more = read([*arguments, "--feature-gates=PodLevelResources=false", "--max-pods=9"])
    assert more.max_pods == 9 and more.feature_gates == {
        "NodeLogQuery": True,
        "KubeletInUserNamespace": True,
        "PodLevelResources": False,
    }
    assert read(["--config-dir", str(folder)]).max_pods == 50, "there need not be a file"

    (folder / "40-broken.conf").write_text("maxPods: 1")
    with pytest.raises(Invalid) as refused:
        read(arguments)
    words = f'failed to merge kubelet configs: failed to walk through kubelet dropin directory "{folder}": '
    words += (
        f"failed to load kubelet dropin file, path: {folder}/40-broken.conf, error: failed to load drop-in"
    )
    assert str(refused.value).startswith(words) and "Object 'Kind' is missing" in str(refused.value)
    with pytest.raises(Invalid, match="lstat /nowhere: no such file or directory"):
        read(["--config-dir", "/nowhere"])


FIELDS_OF_1_36 = """
address allowedUnsafeSysctls authentication authorization cgroupDriver cgroupRoot cgroupsPerQOS clusterDNS
clusterDomain configMapAndSecretChangeDetectionStrategy containerLogMaxFiles containerLogMaxSize
containerLogMaxWorkers containerLogMonitorInterval containerRuntimeEndpoint contentType cpuCFSQuota
cpuCFSQuotaPeriod cpuManagerPolicy cpuManagerPolicyOptions cpuManagerReconcilePeriod crashLoopBackOff
enableContentionProfiling enableControllerAttachDetach enableDebugFlagsHandler enableDebuggingHandlers
enableProfilingHandler enableServer enableSystemLogHandler enableSystemLogQuery enforceNodeAllocatable eventBurst
eventRecordQPS evictionHard evictionMaxPodGracePeriod evictionMinimumReclaim evictionPressureTransitionPeriod
evictionSoft evictionSoftGracePeriod failCgroupV1 failSwapOn featureGates fileCheckFrequency hairpinMode
healthzBindAddress healthzPort httpCheckFrequency imageGCHighThresholdPercent imageGCLowThresholdPercent
imageMaximumGCAge imageMinimumGCAge imagePullCredentialsVerificationPolicy imageServiceEndpoint iptablesDropBit
iptablesMasqueradeBit kernelMemcgNotification kubeAPIBurst kubeAPIQPS kubeReserved kubeReservedCgroup
kubeletCgroups localStorageCapacityIsolation logging makeIPTablesUtilChains maxOpenFiles maxParallelImagePulls
maxPods memoryManagerPolicy memoryReservationPolicy memorySwap memoryThrottlingFactor mergeDefaultEvictionSettings
nodeLeaseDurationSeconds nodeStatusMaxImages nodeStatusReportFrequency nodeStatusUpdateFrequency oomScoreAdj
podCIDR podLogsDir podPidsLimit podsPerCore port preloadedImagesVerificationAllowlist protectKernelDefaults
providerID qosReserved readOnlyPort registerNode registerWithTaints registryBurst registryPullQPS reservedMemory
reservedSystemCPUs resolvConf rotateCertificates runOnce runtimeRequestTimeout seccompDefault serializeImagePulls
serverTLSBootstrap showHiddenMetricsForVersion shutdownGracePeriod shutdownGracePeriodByPodPriority
shutdownGracePeriodCriticalPods singleProcessOOMKill staticPodPath staticPodURL staticPodURLHeader
streamingConnectionIdleTimeout syncFrequency systemCgroups systemReserved systemReservedCgroup tlsCertFile
tlsCipherSuites tlsCurvePreferences tlsMinVersion tlsPrivateKeyFile topologyManagerPolicy
topologyManagerPolicyOptions topologyManagerScope tracing userNamespaces volumePluginDir volumeStatsAggPeriod
"""


def test_no_field_of_upstreams_is_unheard_of() -> None:
    in_file = set(configuration.FIELDS) - configuration.NOT_IN_FILE
    known = {(path.partition(".")[0]) for path in configuration.FILE_NAMES} | configuration.ACCEPTED
    unheard = {name for name in FIELDS_OF_1_36.split() if configuration._snake(name) not in in_file}
    assert unheard <= known | set(configuration.NOTHING_ELSE)


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
        ({"kind": ""}, "failed to decode: Object 'Kind' is missing in '{"),
        ({"cpuManagerPolicy": "static"}, 'cpuManagerPolicy static is not supported, only "none"'),
        ({"runOnce": True}, "runOnce True is not supported"),
        ({"tlsMinVersion": "SSLv3"}, 'failed to construct kubelet dependencies: unknown tls version "SSLv3"'),
        ({"tlsCipherSuites": ["TLS_X"]}, "Cipher suite TLS_X not supported or doesn't exist"),
        ({"containerLogMaxFiles": 1}, "containerLogMaxFiles must be greater than 1"),
        ({"podLogsDir": "logs/../x"}, 'pod logs path "logs/../x" must be absolute path'),
        (
            {"crashLoopBackOff": {"maxContainerRestartPeriod": "301s"}},
            "CrashLoopBackOff.MaxContainerRestartPeriod (got: 301 seconds) must be set between 1s and 300s",
        ),
        (
            {"enforceNodeAllocatable": ["pods"], "cgroupsPerQOS": False},
            'cgroupsPerQOS (--cgroups-per-qos) must be set to true when "pods" contained in enforceNodeAllocatable',
        ),
        ({"enforceNodeAllocatable": ["pods", "pods"]}, 'duplicated enforcements "pods" in'),
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
        (
            {"cpuCFSQuotaPeriod": "2s"},
            "cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {2s} must be between 1ms and 1s, inclusive",
        ),
        ({"nodeLeaseDurationSeconds": -1}, "nodeLeaseDurationSeconds must be greater than 0"),
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
