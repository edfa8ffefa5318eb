"""Flags as upstream's programs take them: names, `--version`, choices; and every program takes what is documented."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import apiserver.options
import cloud_controller_manager.options
import controller_manager.options
import kube_proxy.options
import kubelet.options
import scheduler.options
from kubarium.component_base import features
from kubarium.component_base.logging import JSONFormatter, LineFormatter, at
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process, run

LOGS = (
    "--logging-format=json --log-flush-frequency=5s --log-json-info-buffer-size=0 --log-json-split-stream "
    "--log-text-info-buffer-size=0 --log-text-split-stream=false --vmodule=a=1 -v=2"
)
METRICS = (
    "--allow-metric-labels=a,b='c' --allow-metric-labels-manifest=/f --disabled-metrics=a "
    "--show-hidden-metrics-for-version=1.35"
)
SECURE = (
    "--bind-address=127.0.0.1 --secure-port=1 --cert-dir=/d --tls-cert-file=/c --tls-private-key-file=/k "
    "--tls-cipher-suites=TLS_AES_128_GCM_SHA256 --tls-min-version=VersionTLS13 --tls-sni-cert-key=/a,/b "
    "--tls-curve-preferences=29,23 "
    "--disable-http2-serving --http2-max-streams-per-connection=5 --permit-address-sharing --permit-port-sharing "
    "--authentication-kubeconfig=/k --authentication-skip-lookup --authentication-token-webhook-cache-ttl=10s "
    "--authentication-tolerate-lookup-failure=false --client-ca-file=/c --requestheader-allowed-names=a "
    "--requestheader-client-ca-file=/r --requestheader-extra-headers-prefix=x --requestheader-group-headers=x "
    "--requestheader-uid-headers=x --requestheader-username-headers=x --authorization-always-allow-paths=/healthz "
    "--authorization-kubeconfig=/k --authorization-webhook-cache-authorized-ttl=1s "
    "--authorization-webhook-cache-unauthorized-ttl=1s --profiling=false --contention-profiling=true"
)
CLIENT = (
    "--kubeconfig=/k --master=https://m --kube-api-qps=50.0 --kube-api-burst=100 --kube-api-content-type=a/b"
)
ELECTION = (
    "--leader-elect=false --leader-elect-lease-duration=30s --leader-elect-renew-deadline=15s "
    "--leader-elect-retry-period=5s --leader-elect-resource-lock=leases --leader-elect-resource-name=n "
    "--leader-elect-resource-namespace=ns"
)
VERSIONS = (
    "--feature-gates=kube:WatchList=true --emulated-version=kube=1.36 --min-compatibility-version=kube=1.35"
)
FILES = (
    "--log_dir=/d --log_file=/f --log_file_max_size=5 --logtostderr=false --alsologtostderr --one_output "
    "--skip_headers --skip_log_headers --add_dir_header --stderrthreshold=1 --log_backtrace_at=a:1"
)
IPVS = (
    "--ipvs-exclude-cidrs=10.0.0.0/8 --ipvs-min-sync-period=1s --ipvs-scheduler=rr --ipvs-strict-arp "
    "--ipvs-sync-period=30s --ipvs-tcp-timeout=1s --ipvs-tcpfin-timeout=1s --ipvs-udp-timeout=1s"
)
LOOP = " ".join((LOGS, METRICS, SECURE, CLIENT, ELECTION, VERSIONS))
CONTROLLERS = (
    "--allocate-node-cidrs=true --attach-detach-reconcile-sync-period=30s --cidr-allocator-type=CloudAllocator "
    "--cloud-config=/c --cloud-provider=external --cluster-cidr=1.2.3.4/24 --cluster-name=k8s "
    "--concurrent-service-syncs=2 --concurrent_rc_syncs=10 --concurrent-resource-claim-syncs=9 "
    "--concurrent-validating-admission-policy-status-syncs=9 --configure-cloud-routes=false "
    "--controller-shutdown-timeout=5s --controller-start-interval=2m --controllers=foo,bar "
    "--disable-attach-detach-reconcile-sync=true --disable-force-detach-on-timeout --enable-leader-migration "
    "--leader-migration-config=/m --endpoint-updates-batch-period=1s --endpointslice-updates-batch-period=1s "
    "--mirroring-endpointslice-updates-batch-period=1s --external-cloud-volume-plugin=a "
    "--flex-volume-plugin-dir=/f --min-resync-period=8h --pv-recycler-increment-timeout-nfs=45 "
    "--pv-recycler-minimum-timeout-hostpath=45 --pv-recycler-minimum-timeout-nfs=200 "
    "--pv-recycler-pod-template-filepath-hostpath=/a --pv-recycler-pod-template-filepath-nfs=/b "
    "--pv-recycler-timeout-increment-hostpath=45 --route-reconciliation-period=30s"
)
PROGRAMS: dict[str, tuple[Any, str]] = {
    "kube-scheduler": (scheduler.options.Options, f"{LOOP} --write-config-to=/f --config="),
    "kube-controller-manager": (controller_manager.options.Options, f"{LOOP} {CONTROLLERS}"),
    "cloud-controller-manager": (
        cloud_controller_manager.options.Options,
        f"{LOOP} --allow-untagged-cloud --cidr-allocator-type=a --controller-start-interval=1s "
        "--enable-leader-migration --leader-migration-config=/f --min-resync-period=8h --webhooks=a",
    ),
    "kube-proxy": (kube_proxy.options.Options, f"{LOGS} {METRICS} {CLIENT} {FILES} {IPVS}"),
    "kubelet": (
        kubelet.options.Options,
        f"{LOGS} --cpu-manager-policy=none --memory-manager-policy=None --rotate-server-certificates "
        "--reserved-cpus=0 --volume-stats-agg-period=1m --streaming-connection-idle-timeout=4h "
        "--authentication-token-webhook-cache-ttl=2m --tls-min-version=VersionTLS12 --contention-profiling=false",
    ),
    "kube-apiserver": (
        apiserver.options.Options,
        f"{LOGS} {METRICS} --etcd-prefix=/registry --profiling=false --storage-backend=etcd3 "
        "--endpoint-reconciler-type=lease --service-account-lookup=true --watch-cache-sizes=a#1 "
        "--debug-socket-path=/s --enable-logs-handler=false --etcd-servers-overrides= --kubernetes-service-node-port=0 "
        "--min-compatibility-version=1.35 --service-account-signing-endpoint= --tls-curve-preferences=29 "
        "--cors-allowed-origins=//a$ --shutdown-delay-duration=1s --strict-transport-security-directives=preload "
        "--tls-sni-cert-key=a,b --tls-sni-cert-key=c,d:e,f --tracing-config-file= --egress-selector-config-file=/f",
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_documented_flags_are_taken(program: str) -> None:
    options, flags = PROGRAMS[program]
    found = parse(options, flags.split(), program)
    assert found.logging_format == "json"
    assert found.verbosity == 2


@pytest.mark.parametrize(
    ("program", "flag", "words"),
    [
        ("kube-apiserver", "--nonsense=1", "unknown flag: --nonsense"),
        ("kubelet", "-z", "failed to parse kubelet flag: unknown shorthand flag: 'z' in -z"),
        ("kube-proxy", "web", '"kube-proxy" does not take any arguments, got ["web"]'),
        ("kube-scheduler", "--secure-port", "flag needs an argument: --secure-port"),
        (
            "kube-scheduler",
            "--secure-port=abc",
            'invalid argument "abc" for "--secure-port" flag: strconv.ParseInt: parsing "abc": invalid syntax',
        ),
        (
            "kube-apiserver",
            "--event-ttl=soon",
            'invalid argument "soon" for "--event-ttl" flag: time: invalid duration "soon"',
        ),
        (
            "kubelet",
            "--cpu-manager-policy=static",
            'failed to parse kubelet flag: invalid argument "static" for "--cpu-manager-policy" flag: must be one '
            "of 'none'",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused_as_upstream_refuses_it(
    program: str, flag: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(PROGRAMS[program][0], [flag], program)
    assert end.value.code == 1
    assert capsys.readouterr().err.endswith(f"Error: {words}\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_gates_show_in_the_metrics(program: str) -> None:
    def enabled() -> dict[tuple[str, str], float]:
        return dict(features.METRIC.read())

    parse(
        PROGRAMS[program][0],
        ["--feature-gates=WatchList=false,GangScheduling=true,SidecarContainers=true"],
        program,
    )
    assert enabled()["WatchList", "BETA"] == 0.0
    assert enabled()["GangScheduling", "ALPHA"] == 1.0
    assert enabled()["SidecarContainers", ""] == 1.0
    assert enabled()["KMSv1", "DEPRECATED"] == 0.0
    parse(PROGRAMS[program][0], ["--feature-gates=AllAlpha=true"], program)
    assert enabled()["WatchList", "BETA"] == enabled()["MemoryQoS", "ALPHA"] == 1.0
    assert enabled()["SELinuxMount", "BETA"] == 0.0
    parse(PROGRAMS[program][0], [], program)
    assert enabled()["MemoryQoS", "ALPHA"] == 0.0


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ("Nonsense=true", "unrecognized feature gate: Nonsense"),
        (
            "SidecarContainers=false",
            "cannot set feature gate SidecarContainers to false, feature is locked to true",
        ),
        (
            "GitRepoVolumeDriver=true,WatchList=false,NodeSwap=false",
            "[cannot set feature gate GitRepoVolumeDriver to true, feature is locked to false, "
            "cannot set feature gate NodeSwap to false, feature is locked to true]",
        ),
    ],
)
def test_gates_that_upstream_would_not_set_are_refused(
    program: str, gates: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(PROGRAMS[program][0], [f"--feature-gates={gates}"], program)
    before = {
        "kubelet": "failed to set feature gates from initial flags-based config: ",
        "kube-proxy": "failed complete: ",
    }
    assert capsys.readouterr().err == f"Error: {before.get(program, '')}{words}\n"


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ("WatchList", "missing bool value for WatchList"),
        (
            "kube:WatchList=yes",
            'invalid value of WatchList=yes, err: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
    ],
)
def test_gates_without_a_value_are_refused(
    gates: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(PROGRAMS["kube-apiserver"][0], [f"--feature-gates={gates}"], "kube-apiserver")
    assert capsys.readouterr().err == f"Error: {words}\n"


def test_the_version_is_printed_and_the_program_ends_in_peace(capsys: pytest.CaptureFixture[str]) -> None:
    async def main(process: Process) -> None:
        parse(kubelet.options.Options, ["--version"], "kubelet")

    assert run(main) == 0
    with pytest.raises(SystemExit):
        parse(kubelet.options.Options, ["--version=raw"], "kubelet")
    plain, raw = capsys.readouterr().out.splitlines()
    assert plain.startswith("Kubernetes v1.")
    assert raw.startswith('version.Info{Major:"1", Minor:"')
    assert parse(kubelet.options.Options, ["--version=false"], "kubelet") == kubelet.options.Options()


def test_a_flag_that_nobody_knows_is_a_failure_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main(process: Process) -> None:
        parse(kubelet.options.Options, ["--no-such-flag"], "kubelet")

    assert run(main) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_log_line_in_json_says_what_upstreams_says() -> None:
    record = logging.LogRecord("scheduler.app", logging.INFO, "", 0, 'bound "%s"', ("web",), None)
    line = json.loads(JSONFormatter("kube-scheduler").format(record))
    assert (line["msg"], line["v"], line["logger"]) == ('bound "web"', 0, "kube-scheduler")
    assert line["ts"] == pytest.approx(record.created * 1000)


def test_lines_of_high_levels_are_debug_lines_that_tell_their_level_in_json() -> None:
    record = logging.LogRecord("apiserver", at(4), "", 0, "GET /", (), None)
    assert json.loads(JSONFormatter("kube-apiserver").format(record))["v"] == 4
    assert " level=debug " in LineFormatter("kube-apiserver").format(record)
    assert [at(verbosity) for verbosity in (0, 1, 2)] == [logging.INFO, logging.INFO, logging.DEBUG]
