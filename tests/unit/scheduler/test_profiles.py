"""The configuration file makes profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from scheduler import options
from scheduler.app import SchedulerApp
from scheduler.configuration import Configuration, ConfigurationError, ProfileConfig, configuration_of
from scheduler.framework.runtime import Framework
from scheduler.profiles import build_profile, default_registry
from tests.unit.scheduler.builders import make_node, make_pod

FILE = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false, leaseDuration: 30s}
clientConnection: {kubeconfig: /etc/scheduler.conf}
podMaxBackoffSeconds: 20
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources: [{name: cpu, weight: 1}]
  plugins:
    multiPoint:
      disabled: [{name: ImageLocality}]
    score:
      enabled: [{name: NodeResourcesFit, weight: 5}]
      disabled: [{name: NodeResourcesBalancedAllocation}]
    filter:
      disabled: [{name: TaintToleration}]
"""


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(FILE)
    flags, configuration = options.read([f"--config={file}", "--leader-elect-lease-duration=40s"])
    assert (flags.leader_elect, flags.kubeconfig, flags.leader_elect_lease_duration) == (
        False,
        "/etc/scheduler.conf",
        40.0,
    )
    assert [profile.scheduler_name for profile in configuration.profiles] == ["default-scheduler", "packing"]
    assert configuration.maximum_backoff == 20.0


async def test_each_profile_places_its_pods_its_own_way(start: Any) -> None:
    configuration = configuration_of(yaml.safe_load(FILE))
    taint = {"key": "k", "effect": "NoSchedule"}
    busy = make_pod("busy", cpu="2", nodeName="full", tolerations=[{"operator": "Exists"}])
    objects = [make_node("full", taints=[taint]), make_node("empty"), make_node("other"), busy]
    pods = [make_pod("spread", cpu="1"), make_pod("packed", cpu="1", schedulerName="packing")]
    async with start(*objects, *pods, configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("spread") and cluster.node_of("packed"))
        assert cluster.node_of("packed") == "full"  # most allocated, and nobody looks at taints
        assert cluster.node_of("spread") != "full"
        packing, default = cluster.app.profiles["packing"], cluster.app.profiles["default-scheduler"]
        assert packing.weights["NodeResourcesFit"] == 5
        assert "ImageLocality" not in packing.weights and "ImageLocality" in default.weights
        names = [plugin.name for plugin in packing.score_plugins]
        assert "NodeResourcesBalancedAllocation" not in names


def test_an_unknown_plugin_is_named() -> None:
    profile = ProfileConfig(plugins={"multiPoint": {"enabled": [{"name": "Nonsense"}]}})
    with pytest.raises(ConfigurationError, match="Nonsense"):
        build_profile(profile, None, default_registry())  # type: ignore[arg-type]


def framework_with(plugins: Any) -> Framework:
    configuration = Configuration(profiles=(ProfileConfig(plugins=plugins),))
    app = SchedulerApp(FakeAPI().client(), configuration, FakeClock())
    return app.profiles["default-scheduler"]


async def test_what_a_point_names_of_multi_point_comes_first_there_and_only_there() -> None:
    named = [{"name": "NodePorts"}, {"name": "NodeName"}]
    framework = framework_with(
        {
            "multiPoint": {
                "disabled": [{"name": "ImageLocality"}],
                "enabled": [{"name": "NodeResourcesFit", "weight": 7}],
            },
            "filter": {"enabled": named, "disabled": [{"name": "TaintToleration"}]},
            "score": {"enabled": [{"name": "ImageLocality"}, {"name": "NodeAffinity"}]},
        }
    )
    filters = [plugin.name for plugin in framework.filter_plugins]
    assert filters[:3] == ["NodePorts", "NodeName", "NodeUnschedulable"]
    assert "TaintToleration" not in filters
    scores = [plugin.name for plugin in framework.score_plugins]
    assert (scores[0], scores[1], scores[-1]) == ("NodeAffinity", "TaintToleration", "ImageLocality")
    # Who names a plugin again says its weight anew; silence is 1.
    weights = framework.weights
    assert (weights["NodeResourcesFit"], weights["NodeAffinity"], weights["ImageLocality"]) == (7, 1, 1)
    assert weights["TaintToleration"] == 3


async def test_a_point_may_start_from_nothing() -> None:
    alone = [{"name": "NodeAffinity", "weight": 4}]
    framework = framework_with({"score": {"disabled": [{"name": "*"}], "enabled": alone}})
    assert [plugin.name for plugin in framework.score_plugins] == ["NodeAffinity"]
    assert framework.weights["NodeAffinity"] == 4
    assert len(framework.filter_plugins) > 5


async def test_the_journal_tells_why(start: Any) -> None:
    from scheduler.app import app_decisions

    nodes = [
        make_node("small", cpu="500m"),
        make_node("a"),
        make_node("b", unschedulable=True),
        make_node("c"),
    ]
    async with start(*nodes, make_pod("web", cpu="1"), make_pod("huge", cpu="64")) as cluster:
        await cluster.until(lambda: cluster.node_of("web") and cluster.condition("huge"))
        page = app_decisions(cluster.app)
        status, _, body = await page({"path": "/debug/decisions/default/web"})
        decision = json.loads(body)["decisions"][0]
        assert (
            status == 200 and decision["node"] == cluster.node_of("web") and decision["result"] == "scheduled"
        )
        by_name = {entry["node"]: entry for entry in decision["nodes"]}
        assert by_name["small"]["refusedBy"] == [
            {"plugin": "NodeResourcesFit", "reason": "Insufficient cpu", "preemptionMayHelp": False}
        ]
        assert by_name["b"]["refusedBy"][0]["plugin"] == "NodeUnschedulable"
        assert by_name["a"]["scores"]["NodeResourcesFit"] > 0
        assert by_name["a"]["score"] == sum(by_name["a"]["scores"].values())
        _, _, body = await page({"path": "/debug/decisions/default/huge"})
        assert json.loads(body)["decisions"][-1]["result"] == "unschedulable"
        status, _, _ = await page({"path": "/debug/decisions/default/nobody"})
        assert status == 404


WRONG = [
    ("parallelism: 0", "parallelism: Invalid value: 0: should be an integer value greater than zero"),
    (
        "percentageOfNodesToScore: 101",
        "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
    ),
    ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
    (
        "podMaxBackoffSeconds: 0",
        "podMaxBackoffSeconds: Invalid value: 0: must be greater than or equal to PodInitialBackoffSeconds",
    ),
    (
        "leaderElection: {leaseDuration: 5s}",
        'leaderElection.leaseDuration: Invalid value: "10s": LeaseDuration must be greater than RenewDeadline',
    ),
    ("profiles: [{schedulerName: a}, {}]", "profiles[1].schedulerName: Required value"),
    (
        "profiles: [{schedulerName: a}, {schedulerName: a}]",
        'profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"',
    ),
    (
        "profiles: [{plugins: {filter: {enabled: [{name: EBSLimits}]}}}]",
        'profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "v1" '
        '(KubeSchedulerConfiguration is version "kubescheduler.config.k8s.io/v1")',
    ),
    (
        "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
        "profiles[0].pluginConfig[2].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
    ),
    (
        "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]",
        'profiles[0].pluginConfig[5].args.scoringStrategy.type: Unsupported value: "Best": supported values: '
        '"LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"',
    ),
    (
        "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: "
        "[{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}}]}]",
        "profiles[0].pluginConfig[6].args.defaultingType: Invalid value: "
        '"System": when .defaultConstraints are not empty',
    ),
    (
        "extenders: [{urlPrefix: http://x, prioritizeVerb: rank}]",
        "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
    ),
    (
        "extenders: [{urlPrefix: http://x, bindVerb: b}, {urlPrefix: http://y, bindVerb: b}]",
        'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind',
    ),
    (
        "extenders: [{urlPrefix: http://x, managedResources: [{name: cpu}]}]",
        'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name',
    ),
]


@pytest.mark.parametrize(("text", "problem"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_told_in_upstreams_words(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configuration_of(yaml.safe_load(text))
    assert str(caught.value) == problem


def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(FILE + "podMaxBackof: 3\n")
    with pytest.raises(ConfigurationError, match='strict decoding error: unknown field "podMaxBackof"'):
        options.read([f"--config={file}"])


def test_the_configuration_in_force_can_be_written_down(tmp_path: Path) -> None:
    file, written = tmp_path / "config.yaml", tmp_path / "written.yaml"
    file.write_text(FILE)
    flags, configuration = options.read([f"--config={file}", f"--write-config-to={written}"])
    options.write(flags, configuration)
    again, same = options.read([f"--config={written}"])
    assert (again.leader_elect_lease_duration, again.kubeconfig) == (30.0, "/etc/scheduler.conf")
    assert same.profiles == configuration.profiles
    args = same.profiles[1].plugin_args
    assert args["NodeResourcesFit"]["scoringStrategy"]["type"] == "MostAllocated"
    assert args["VolumeBinding"] == {"bindTimeoutSeconds": 600}
