"""The pure parts of workload controllers: arithmetic and plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller_manager.controllers.workloads.daemon_set import update
from controller_manager.controllers.workloads.deployment import rolling
from controller_manager.controllers.workloads.job import indexes, policies
from controller_manager.controllers.workloads.stateful_set.plan import Revision, make_plan
from kubarium.api.autoscaling import horizontal_pod_autoscaler as hpa
from kubarium.api.batch import cron_job as crons
from kubarium.api.core.pod import deletion_order
from kubarium.apimachinery.object import Object, name_of

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def deployment(replicas: int, surge: int = 1, unavailable: int = 0) -> Object:
    rolling_update = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling_update}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "strategy": strategy}}


def replica_set(name: str, size: int, available: int, desired: int = 0, maximum: int = 0) -> Object:
    annotations = {
        "deployment.kubernetes.io/desired-replicas": str(desired or size),
        "deployment.kubernetes.io/max-replicas": str(maximum or size),
    }
    stamp = f"2026-01-01T00:00:{len(name):02d}Z"
    return {
        "metadata": {"name": name, "annotations": annotations, "creationTimestamp": stamp},
        "spec": {"replicas": size},
        "status": {"replicas": size, "availableReplicas": available},
    }


@given(
    wanted=st.integers(0, 20),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
    sizes=st.tuples(st.integers(0, 25), st.integers(0, 25)),
    share=st.floats(0, 1),
)
def test_a_step_never_leaves_the_bounds(
    wanted: int, surge: int, unavailable: int, sizes: tuple[int, int], share: float
) -> None:
    one = deployment(wanted, surge, unavailable)
    old, new = (
        replica_set("o", sizes[0], int(sizes[0] * share)),
        replica_set("nn", sizes[1], int(sizes[1] * share)),
    )
    step = rolling.step_new(one, new, [old, new])
    if step is not None and step.replicas > sizes[1]:
        assert step.replicas + sizes[0] <= wanted + rolling.deployments.max_surge(one)
    for shrink in rolling.step_old(one, new, [old]):
        lost = max(0, shrink.replica_set["status"]["availableReplicas"] - shrink.replicas)
        total = rolling.total_available([old, new])
        assert total - lost >= min(total, wanted - rolling.deployments.max_unavailable(one))


def test_a_change_of_size_is_shared_by_size() -> None:
    one = deployment(20, surge=0)
    sets = [replica_set("big", 8, 8, 10, 10), replica_set("small", 2, 2, 10, 10)]
    sizes = {name_of(r.replica_set): r.replicas for r in rolling.proportional(one, sets)}
    assert sizes == {"big": 16, "small": 4}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([0, 1], "0,1"), ([0, 1, 2, 4, 6, 7, 8, 9], "0-2,4,6-9")],
)
def test_indexes_are_written_as_ranges(numbers: list[int], text: str) -> None:
    assert indexes.format(numbers) == text
    assert indexes.parse(text) == set(numbers)


@given(st.sets(st.integers(0, 200)))
def test_indexes_survive_a_round_trip(numbers: set[int]) -> None:
    assert indexes.parse(indexes.format(numbers)) == numbers


def test_the_first_matching_rule_judges_a_failed_pod() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
    ]
    terminated = {"name": "main", "state": {"terminated": {"exitCode": 42}}}
    pod: Object = {
        "metadata": {"name": "p", "namespace": "ns"},
        "status": {"containerStatuses": [terminated]},
    }
    verdict = policies.judge({"rules": rules}, pod)
    assert verdict.action == "FailJob"
    assert (
        verdict.message
        == "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1"
    )
    pod["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert policies.judge({"rules": rules}, pod).action == "Ignore"
    assert policies.judge(None, pod).action == "Count"


def stateful_pod(number: int, revision: str = "new", ready: bool = True, phase: str = "Running") -> Object:
    return {
        "metadata": {"name": f"db-{number}", "labels": {"controller-revision-hash": revision}},
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
            ],
        },
    }


OLD, NEW = Revision("old", {}), Revision("new", {})


def plan_of(spec: Object, *pods: Object) -> object:
    plan = make_plan({"metadata": {"name": "db"}, "spec": spec}, pods, OLD, NEW, NOW)
    return {
        "create": [number for number, _ in plan.create],
        "delete": [name_of(pod) for pod in [*plan.restart, *plan.condemn, *plan.update]],
    }


def test_stateful_pods_are_made_one_after_the_other() -> None:
    assert plan_of({"replicas": 3}) == {"create": [0], "delete": []}
    assert plan_of({"replicas": 3}, stateful_pod(0, ready=False)) == {"create": [], "delete": []}
    assert plan_of({"replicas": 3}, stateful_pod(0)) == {"create": [1], "delete": []}
    parallel = {"replicas": 3, "podManagementPolicy": "Parallel"}
    assert plan_of(parallel, stateful_pod(1)) == {"create": [0, 2], "delete": []}
    assert plan_of(parallel, stateful_pod(0, phase="Failed")) == {"create": [1, 2], "delete": ["db-0"]}
    assert plan_of({"replicas": 2, "ordinals": {"start": 5}}) == {"create": [5], "delete": []}


def test_stateful_pods_go_from_the_last() -> None:
    pods = [stateful_pod(number) for number in range(3)]
    assert plan_of({"replicas": 1}, *pods) == {"create": [], "delete": ["db-2"]}
    assert plan_of({"replicas": 1}, pods[0], stateful_pod(1), stateful_pod(2, ready=False)) == {
        "create": [],
        "delete": ["db-2"],
    }
    assert plan_of({"replicas": 3}, pods[0], stateful_pod(1, phase="Failed"), pods[2])["delete"] == ["db-1"]  # type: ignore[index]


def test_stateful_pods_are_updated_down_to_the_partition() -> None:
    pods = [stateful_pod(number, "old") for number in range(4)]
    assert plan_of({"replicas": 4}, *pods) == {"create": [], "delete": ["db-3"]}

    def rolling_spec(**how: object) -> Object:
        return {"replicas": 4, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": how}}

    assert plan_of(rolling_spec(maxUnavailable=2), *pods) == {"create": [], "delete": ["db-3", "db-2"]}
    assert plan_of(rolling_spec(partition=3, maxUnavailable=2), *pods) == {"create": [], "delete": ["db-3"]}
    assert plan_of({"replicas": 4, "updateStrategy": {"type": "OnDelete"}}, *pods) == {
        "create": [],
        "delete": [],
    }


def daemon_pod(name: str, digest: str, ready: bool = True) -> Object:
    return {
        "metadata": {"name": name, "labels": {"controller-revision-hash": digest}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def test_a_daemon_is_updated_node_by_node() -> None:
    daemon: Object = {
        "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}
    }
    pods = {node: [daemon_pod(node, "old")] for node in ("a", "b", "c")}
    nodes = ["a", "b", "c"]
    assert [name_of(p) for p in update.rolling_step(daemon, pods, nodes, "new", NOW).delete] == ["a"]
    pods["c"] = [daemon_pod("c", "old", ready=False)]
    assert [name_of(p) for p in update.rolling_step(daemon, pods, nodes, "new", NOW).delete] == ["c"]
    surge: Object = {"spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}
    pods = {node: [daemon_pod(node, "old")] for node in nodes}
    step = update.rolling_step(surge, pods, nodes, "new", NOW)
    assert (step.create_on, step.delete) == (["a"], [])
    pods["a"] = [daemon_pod("a", "old"), daemon_pod("a2", "new")]
    step = update.rolling_step(surge, pods, nodes, "new", NOW)
    assert (step.create_on, [name_of(p) for p in step.delete]) == (["b"], ["a"])


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("* * * * *", "2026-01-01T12:01:00"),
        ("*/15 * * * *", "2026-01-01T12:15:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("30 4 * * mon-fri", "2026-01-02T04:30:00"),
        ("0 0 13 * 5", "2026-01-02T00:00:00"),  # the 13th or a Friday
        ("@daily", "2026-01-02T00:00:00"),
        ("@every 1h30m", "2026-01-01T13:30:30"),
        ("TZ=Asia/Tokyo 0 9 * * *", "2026-01-02T00:00:00"),
    ],
)
def test_schedules_name_their_next_time(schedule: str, following: str) -> None:
    found = crons.parse_schedule(schedule).after(NOW)
    assert found == datetime.fromisoformat(following + "+00:00")


def test_an_hour_that_the_clock_shows_twice_is_due_twice_and_one_that_it_leaves_out_never() -> None:
    def times(schedule: str, since: str, count: int) -> list[str]:
        moment, found = datetime.fromisoformat(since + "+00:00"), []
        for _ in range(count):
            following = crons.parse_schedule(f"TZ=America/New_York {schedule}").after(moment)
            assert following is not None
            moment = following
            found.append(moment.strftime("%d %H:%M"))
        return found

    assert times("30 * * * *", "2026-11-01T04:45", 3) == ["01 05:30", "01 06:30", "01 07:30"]
    assert times("30 1 * * *", "2026-11-01T04:45", 3) == ["01 05:30", "01 06:30", "02 06:30"]
    assert times("30 2 * * *", "2026-03-08T00:00", 2) == ["09 06:30", "10 06:30"]


@pytest.mark.parametrize("schedule", ["", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *"])
def test_nonsense_is_no_schedule(schedule: str) -> None:
    with pytest.raises(ValueError):
        crons.parse_schedule(schedule)


def test_missed_times_are_counted_without_walking_through_years() -> None:
    every_minute = crons.parse_schedule("* * * * *")
    assert crons.most_recent(every_minute, NOW, NOW + timedelta(seconds=20)) is None
    found = crons.most_recent(every_minute, NOW - timedelta(days=3650), NOW)
    assert found is not None
    assert found[0] == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert found[1] > 5_000_000


def test_the_least_useful_pod_goes_first() -> None:
    def pod(name: str, node: str = "n", ready: bool = True, **annotations: str) -> Object:
        return {
            "metadata": {
                "name": name,
                "uid": name,
                "annotations": annotations,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"nodeName": node},
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
                ],
            },
        }

    cheap = pod("cheap", **{deletion_order.DELETION_COST: "-5"})
    pods = [pod("good", "other"), pod("crowded"), cheap, pod("unready", ready=False), pod("unscheduled", "")]
    ordered = deletion_order.in_order(pods, pods, NOW)
    assert [name_of(one) for one in ordered] == ["unscheduled", "unready", "cheap", "crowded", "good"]


def test_replicas_follow_the_usage() -> None:
    pods = [{"metadata": {"name": f"p{n}"}, "status": {"phase": "Running"}} for n in range(3)]
    samples = {f"p{n}": hpa.Sample(900, NOW) for n in range(3)}
    requests = {f"p{n}": 1000 for n in range(3)}
    used = {name: sample.value for name, sample in samples.items()}
    grouped = hpa.group_pods(pods, samples, "memory", hpa.Settings(), NOW)

    def wanted(target: float, given: dict[str, int]) -> int:
        return hpa.weigh(3, given, target, requests, grouped, (0.1, 0.1)).replicas

    assert wanted(30, used) == 9
    assert wanted(85, used) == 3  # within the tolerance
    assert wanted(100, dict.fromkeys(used, 300)) == 1
