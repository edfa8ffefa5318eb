"""What is started, killed or left alone.

sandbox: missing, down, two of them, without address       policies: Always, OnFailure, Never
init containers: first, next, failed, done, new sandbox     sidecars: order, restart, startup probe
containers: dead, changed, unhealthy                        all done: the pod is killed
"""

from __future__ import annotations

import pytest

from kubelet.runtime import interface, plan
from kubelet.runtime.plan import PodPlan, Probed
from kubelet.runtime.state import PodState
from tests.unit.kubelet.making import make_container, make_pod, make_run, make_sandbox, make_state

EXITED = interface.EXITED
SIDE = make_container("side", restartPolicy="Always")
PROBED_SIDE = make_container("side", restartPolicy="Always", startupProbe={"exec": {}})


def compute(pod: dict, state: PodState, probed: Probed = Probed()) -> PodPlan:  # noqa: B008
    return plan.compute(pod, state, probed)


def test_a_new_pod_gets_a_sandbox_and_its_containers() -> None:
    made = compute(make_pod(make_container("a"), make_container("b")), PodState("uid-1"))
    assert made == PodPlan(create_sandbox=True, start=("a", "b"))


def test_a_new_pod_with_init_containers_begins_with_the_first() -> None:
    pod = make_pod(initContainers=[make_container("i"), make_container("j")])
    assert compute(pod, PodState("uid-1")) == PodPlan(create_sandbox=True, start_init=("i",))


def test_a_running_pod_is_left_alone() -> None:
    assert compute(make_pod(), make_state(make_run())).is_empty


@pytest.mark.parametrize(
    "sandboxes",
    [
        (make_sandbox(state=interface.NOT_READY),),
        (make_sandbox("s1", attempt=0, at=2), make_sandbox("s0")),
    ],
)
def test_a_pod_whose_sandbox_is_no_good_begins_anew(sandboxes: tuple) -> None:
    made = compute(make_pod(), make_state(make_run(state=EXITED, exit_code=255), sandboxes=sandboxes))
    assert made.kill_pod and made.create_sandbox and made.attempt == 1 and made.start == ("main",)


def test_a_pod_that_must_not_run_twice_gets_no_second_sandbox() -> None:
    dead = make_state(make_run(state=EXITED), sandboxes=(make_sandbox(state=interface.NOT_READY),))
    made = compute(make_pod(restartPolicy="Never"), dead)
    assert made.kill_pod and not made.create_sandbox


def test_after_a_failure_only_what_failed_runs_again() -> None:
    pod = make_pod(make_container("a"), make_container("b"), restartPolicy="OnFailure")
    down = (make_sandbox(state=interface.NOT_READY),)
    state = make_state(make_run("a", EXITED), make_run("b", EXITED, exit_code=1), sandboxes=down)
    assert compute(pod, state).start == ("b",)


@pytest.mark.parametrize(
    ("policy", "code", "starts"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, starts: bool) -> None:
    pod = make_pod(make_container("main"), make_container("other"), restartPolicy=policy)
    state = make_state(make_run("main", EXITED, exit_code=code), make_run("other"))
    assert compute(pod, state).start == (("main",) if starts else ())


def test_restart_rules_of_a_container_come_first() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    picky = make_container("main", restartPolicy="Never", restartPolicyRules=rules)
    pod = make_pod(picky, make_container("other"), restartPolicy="Never")
    assert compute(pod, make_state(make_run(picky, EXITED, exit_code=42), make_run("other"))).start == (
        "main",
    )
    assert compute(pod, make_state(make_run(picky, EXITED, exit_code=1), make_run("other"))).start == ()


def test_a_pod_whose_containers_are_done_is_killed() -> None:
    made = compute(make_pod(restartPolicy="Never"), make_state(make_run(state=EXITED)))
    assert made.kill_pod and not made.create_sandbox


def test_a_changed_image_restarts_the_container() -> None:
    old, new = make_container("main", image="busybox:1"), make_container("main", image="busybox:2")
    made = compute(make_pod(new, restartPolicy="Never"), make_state(make_run(old)))
    assert made.start == ("main",)
    assert made.kill[0].message == "Container main definition changed, will be restarted"


def test_a_failed_liveness_probe_restarts_the_container() -> None:
    made = compute(make_pod(), make_state(make_run()), Probed(liveness={"main-0": False}))
    assert made.start == ("main",)
    assert made.kill[0].message == "Container main failed liveness probe, will be restarted"


def test_init_containers_run_one_after_another() -> None:
    pod = make_pod(initContainers=[make_container("i"), make_container("j")])
    assert compute(pod, make_state(make_run("i"))).is_empty
    assert compute(pod, make_state(make_run("i", EXITED))).start_init == ("j",)
    assert compute(pod, make_state(make_run("i", EXITED), make_run("j", EXITED))).start == ("main",)


@pytest.mark.parametrize(("policy", "kills"), [("Always", False), ("OnFailure", False), ("Never", True)])
def test_a_failed_init_container(policy: str, kills: bool) -> None:
    pod = make_pod(initContainers=[make_container("i")], restartPolicy=policy)
    made = compute(pod, make_state(make_run("i", EXITED, exit_code=1)))
    assert made.kill_pod is kills
    assert made.start_init == (() if kills else ("i",))


def test_init_containers_run_again_in_a_new_sandbox() -> None:
    pod = make_pod(initContainers=[make_container("i")])
    old = [make_run("i", EXITED, sandbox="s0"), make_run("main", EXITED, exit_code=255, sandbox="s0")]
    made = compute(pod, make_state(*old, sandboxes=(make_sandbox("s1", attempt=1, at=9),)))
    assert made.start_init == ("i",) and made.start == ()


def test_a_sidecar_must_have_started_before_the_next_one() -> None:
    pod = make_pod(initContainers=[PROBED_SIDE, make_container("j")])
    state = make_state(make_run(PROBED_SIDE))
    assert compute(pod, state).is_empty
    assert compute(pod, state, Probed(startup={"side-0": True})).start_init == ("j",)


def test_a_dead_sidecar_is_restarted_beside_the_containers() -> None:
    pod = make_pod(initContainers=[SIDE], restartPolicy="Never")
    made = compute(pod, make_state(make_run(SIDE, EXITED, exit_code=1), make_run("main", at=2)))
    assert made.start_init == ("side",) and made.start == ()


def test_a_pod_ends_although_its_sidecar_runs() -> None:
    pod = make_pod(initContainers=[SIDE], restartPolicy="Never")
    assert compute(pod, make_state(make_run(SIDE), make_run("main", EXITED, at=2))).kill_pod


def test_an_ephemeral_container_is_started_once() -> None:
    pod = make_pod(ephemeralContainers=[make_container("debug")])
    assert compute(pod, make_state(make_run())).start_ephemeral == ("debug",)
    assert compute(pod, make_state(make_run(), make_run("debug", EXITED, at=2))).is_empty


RULES = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]


def test_one_container_may_restart_all() -> None:
    source = make_container("source", restartPolicy="Never", restartPolicyRules=RULES)
    pod = make_pod(source, make_container("other"), initContainers=[SIDE], restartPolicy="Never")
    running = (make_run("side", at=1), make_run("other", at=2))
    made = compute(pod, make_state(*running, make_run("source", EXITED, exit_code=42, at=3)))
    assert {kill.name for kill in made.kill} == {"side", "other"} and not made.starts and not made.kill_pod
    assert made.reset[-1] == "source-0" and set(made.reset) == {"side-0", "other-0", "source-0"}
    begun = compute(pod, make_state(make_run("source", EXITED, exit_code=42, at=3)))
    assert begun.reset == ("source-0",) and not begun.kill, "a kubelet that died meanwhile goes on"
    anew = compute(pod, make_state())
    assert anew.start_init == ("side",) and not anew.kill
    other = compute(pod, make_state(*running, make_run("source", EXITED, exit_code=1, at=3)))
    assert not other.reset and not other.kill


@pytest.mark.parametrize(
    ("policy", "request_now", "restarts"),
    [
        ("RestartContainer", "40Mi", True),
        ("RestartContainer", "36700160", False),
        ("NotRequired", "40Mi", False),
    ],
)
def test_a_request_of_memory_restarts_where_the_policy_says_so(
    policy: str, request_now: str, restarts: bool
) -> None:
    rules = [{"resourceName": "memory", "restartPolicy": policy}]
    before, after = (
        make_container(resources={"requests": {"memory": size}}, resizePolicy=rules)
        for size in ("35Mi", request_now)
    )
    run = make_run(before, resources={"cpu_shares": 2})
    run.annotations[interface.MEMORY_REQUEST] = plan.memory_request(before)
    made = plan.compute(make_pod(after), make_state(run), Probed(), {"main": {"cpu_shares": 2}})
    assert [kill.reason for kill in made.kill] == ([plan.RESIZE] if restarts else [])
    assert made.start == (("main",) if restarts else ()) and not made.update
