"""From what runs to what is reported: states, phase, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery import conditions
from kubarium.component_base.clock import FakeClock
from kubelet.runtime import interface
from kubelet.runtime.interface import StartError
from kubelet.runtime.state import PodState
from kubelet.status.generate import failed, generate
from kubelet.status.seen import Seen
from tests.unit.kubelet.making import make_container, make_pod, make_run, make_state

EXITED = interface.EXITED
NOW = FakeClock().now()


def status_of(pod: dict, state: PodState, **seen: Any) -> dict:
    return generate(pod, Seen(state=state, host_ips=("192.0.2.1",), **seen), NOW)


def condition(status: dict, type: str) -> dict:
    found = conditions.find(status["conditions"], type)
    assert found is not None
    return found


def test_before_anything_runs() -> None:
    status = status_of(make_pod(), PodState("uid-1"))
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(status, "PodReadyToStartContainers")["status"] == "False"
    assert condition(status, "Ready")["message"] == "containers with unready status: [main]"
    assert status["startTime"] and status["qosClass"] == "BestEffort" and status["observedGeneration"] == 1


def test_running_and_ready() -> None:
    status = status_of(make_pod(), make_state(make_run()))
    assert status["phase"] == "Running" and status["podIP"] == "10.0.0.2"
    first = status["containerStatuses"][0]
    assert first["ready"] and first["started"] and first["containerID"] == "containerd://main-0"
    assert condition(status, "Ready") == condition(status, "Ready") | {
        "status": "True",
        "observedGeneration": 1,
    }


def test_readiness_and_startup_probes_decide() -> None:
    probed = make_container(readinessProbe={"exec": {}}, startupProbe={"exec": {}})
    pod, state = make_pod(probed), make_state(make_run(probed))
    first = status_of(pod, state)["containerStatuses"][0]
    assert not first["started"] and not first["ready"]
    first = status_of(pod, state, startup={"main-0": True})["containerStatuses"][0]
    assert first["started"] and not first["ready"]
    assert status_of(pod, state, startup={"main-0": True}, readiness={"main-0": True})["containerStatuses"][
        0
    ]["ready"]


def test_init_containers_hold_the_others_back() -> None:
    pod = make_pod(initContainers=[make_container("i"), make_container("j")])
    status = status_of(pod, make_state(make_run("i")))
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert status["initContainerStatuses"][1]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert condition(status, "Initialized") == condition(status, "Initialized") | {
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": "containers with incomplete status: [i j]",
    }


def test_a_crashing_container_waits() -> None:
    reasons = {"main": StartError("CrashLoopBackOff", "back-off 10s")}
    status = status_of(
        make_pod(), make_state(make_run(state=EXITED, exit_code=1, attempt=3)), reasons=reasons
    )
    first = status["containerStatuses"][0]
    assert first["state"]["waiting"]["reason"] == "CrashLoopBackOff" and first["restartCount"] == 3
    assert first["lastState"]["terminated"]["exitCode"] == 1
    assert status["phase"] == "Running"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phase_when_all_have_ended(policy: str, codes: tuple[int, int], phase: str) -> None:
    pod = make_pod(make_container("a"), make_container("b"), restartPolicy=policy)
    runs = [make_run(name, EXITED, exit_code=code) for name, code in zip("ab", codes, strict=True)]
    assert status_of(pod, make_state(*runs))["phase"] == phase


def test_a_failed_init_container_fails_the_pod() -> None:
    pod = make_pod(initContainers=[make_container("i")], restartPolicy="Never")
    status = status_of(pod, make_state(make_run("i", EXITED, exit_code=1)))
    assert status["phase"] == "Failed"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_succeeded_says_completed() -> None:
    status = status_of(make_pod(restartPolicy="Never"), make_state(make_run(state=EXITED)))
    assert (
        condition(status, "Ready")["reason"]
        == condition(status, "ContainersReady")["reason"]
        == "PodCompleted"
    )
    assert condition(status, "Initialized")["status"] == "True"


def test_a_terminal_phase_stays() -> None:
    pod = make_pod(status={"phase": "Failed", "reason": "Evicted"})
    status = status_of(pod, make_state(make_run()))
    assert status["phase"] == "Failed" and status["reason"] == "Evicted"


def test_a_removed_container_is_remembered() -> None:
    old = {"name": "main", "state": {"terminated": {"exitCode": 3}}, "ready": False, "restartCount": 1}
    pod = make_pod(restartPolicy="Never", status={"phase": "Failed", "containerStatuses": [old]})
    assert status_of(pod, PodState("uid-1"))["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_foreign_conditions_stay_and_gates_count() -> None:
    pod = make_pod(readinessGates=[{"conditionType": "x/y"}])
    missing = condition(status_of(pod, make_state(make_run())), "Ready")
    assert missing["reason"] == "ReadinessGatesNotReady" and '"x/y" does not exist' in missing["message"]
    pod["status"]["conditions"] = [{"type": "x/y", "status": "True"}]
    status = status_of(pod, make_state(make_run()))
    assert condition(status, "Ready")["status"] == "True" and condition(status, "x/y") == {
        "type": "x/y",
        "status": "True",
    }


def test_the_transition_time_moves_only_on_change() -> None:
    pod = make_pod()
    pod["status"] = status_of(pod, make_state(make_run()))
    before = condition(pod["status"], "Ready")["lastTransitionTime"]
    later = FakeClock().now().replace(year=2027)
    after = generate(pod, Seen(state=make_state(make_run()), host_ips=("192.0.2.1",)), later)
    assert condition(after, "Ready")["lastTransitionTime"] == before


def test_failed_keeps_what_was_known() -> None:
    status = failed(make_pod(status={"phase": "Running", "podIP": "10.0.0.2"}), "Evicted", "too big", NOW)
    assert (status["phase"], status["reason"], status["podIP"]) == ("Failed", "Evicted", "10.0.0.2")


RULES = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]


def test_while_all_containers_restart() -> None:
    source = make_container("source", restartPolicy="Never", restartPolicyRules=RULES)
    pod = make_pod(source, make_container("other"), restartPolicy="Never")
    ended = make_state(make_run("source", EXITED, exit_code=42), make_run("other", EXITED, exit_code=137))
    status = status_of(pod, ended, restarting_all=True)
    assert status["phase"] == "Running" and condition(status, "AllContainersRestarting")["status"] == "True"
    between = status_of({**pod, "status": status}, make_state())
    assert (
        between["phase"] == "Running" and condition(between, "AllContainersRestarting")["status"] == "False"
    )
    again = status_of(
        {**pod, "status": between}, make_state(make_run("source", attempt=1), make_run("other", attempt=1))
    )
    first = again["containerStatuses"][0]
    assert first["restartCount"] == 1 and first["lastState"]["terminated"]["exitCode"] == 42
    plain = status_of(make_pod(), make_state(make_run()))
    assert conditions.find(plain["conditions"], "AllContainersRestarting") is None


def test_what_a_sidecar_stopped_to_begin_anew_has_not_failed() -> None:
    side = make_container("side", restartPolicy="Always", restartPolicyRules=RULES)
    pod = make_pod(initContainers=[side, make_container("i")], restartPolicy="Never")
    end = make_run("side", EXITED, exit_code=42)
    through = make_run("i", EXITED, exit_code=0)
    ended = make_state(end, through, make_run(state=EXITED, exit_code=137))
    assert status_of(pod, ended, restarting_all=True)["phase"] == "Running"
    early = make_state(end, make_run("i", EXITED, exit_code=137))
    assert status_of(pod, early, restarting_all=True)["phase"] == "Pending"
    killed = {"i": make_run("i", EXITED, exit_code=137), "main": make_run(state=EXITED, exit_code=137)}
    between = status_of(pod, make_state(), removed=killed)
    first = between["containerStatuses"][0]
    assert between["phase"] == "Running" and first["state"]["waiting"]
    assert first["lastState"]["terminated"]["exitCode"] == 137


def test_an_init_container_with_a_rule_has_not_failed() -> None:
    rule = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    init = make_container("i", restartPolicy="Never", restartPolicyRules=rule)
    pod = make_pod(initContainers=[init], restartPolicy="Never")
    assert status_of(pod, make_state(make_run("i", EXITED, exit_code=42)))["phase"] == "Pending"
    assert status_of(pod, make_state(make_run("i", EXITED, exit_code=1)))["phase"] == "Failed"


@pytest.mark.parametrize(
    ("runs", "states"),
    [
        ([], ["ContainerStatusUnknown", "waiting", "waiting"]),
        ([make_run("i", EXITED, exit_code=1)], ["Error", "waiting", "waiting"]),
        ([make_run("i", EXITED)], ["Completed", "ContainerStatusUnknown", "ContainerStatusUnknown"]),
        (
            [make_run("i", EXITED), make_run("a", EXITED)],
            ["Completed", "Completed", "ContainerStatusUnknown"],
        ),
    ],
)
def test_a_pod_that_ends_before_all_of_it_ran_has_failed(runs: list, states: list[str]) -> None:
    pod = make_pod(make_container("a"), make_container("b"), initContainers=[make_container("i")])
    status = status_of(pod, make_state(*runs), terminating=True)
    assert status["phase"] == "Failed"
    found = [*status["initContainerStatuses"], *status["containerStatuses"]]
    assert [one["state"].get("terminated", {}).get("reason", "waiting") for one in found] == states
