"""What a simulated pod's containers have done by a given moment."""

from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubelet.runtime import interface
from kubelet.simulated import addresses, life
from kubelet.simulated.addresses import Addresses
from kubelet.simulated.behaviour import Behaviour, Registry, behaviour_of
from kubelet.simulated.life import Life
from kubelet.simulated.usage import Usage

IMAGES = Registry(("*",), ("*.invalid/*",))
FOREVER = Behaviour()


def make_pod(*, policy: str = "Always", image: str = "web", init: int = 0, **spec: Any) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {
            "restartPolicy": policy,
            "initContainers": [{"name": f"init-{number}", "image": "init"} for number in range(init)],
            "containers": [{"name": "web", "image": image, **spec}],
        },
    }


def state_of(one: Life, name: str = "web") -> str | None:
    newest = one.state.latest(name)
    return newest.state if newest is not None else None


def test_a_pod_runs_at_once_and_for_ever() -> None:
    one = Life("u", ("10.0.0.2",), 100.0)
    assert one.advance(make_pod(), FOREVER, IMAGES, 100.0) is None
    assert state_of(one) == interface.RUNNING
    assert one.state.ips == ("10.0.0.2",)


def test_it_takes_the_time_that_is_annotated() -> None:
    pod = make_pod(policy="Never", init=2)
    pod["metadata"]["annotations"] = {
        "simulated.kubarium.io/start-seconds": "3",
        "simulated.kubarium.io/init-seconds": "2",
        "simulated.kubarium.io/run-seconds": "10",
        "simulated.kubarium.io/exit-code": "4",
        "simulated.kubarium.io/stop-seconds": "soon",
    }
    behaviour = behaviour_of(pod)
    assert behaviour == Behaviour(start=3.0, init=2.0, run=10.0, exit_code=4, stop=0.0)
    one, now, moments = Life("u", (), 0.0), 0.0, []
    while (wait := one.advance(pod, behaviour, IMAGES, now)) is not None:
        now += wait
        moments.append(now)
    assert moments == [3.0, 5.0, 7.0, 17.0]
    ended = one.state.latest("web")
    assert ended is not None and (ended.exit_code, ended.finished_at) == (4, 17 * 10**9)


def test_what_keeps_ending_waits_longer_and_longer() -> None:
    pod, one, now, waits = make_pod(), Life("u", (), 0.0), 0.0, []
    for _ in range(5):
        wait = one.advance(pod, Behaviour(run=5.0, exit_code=1), IMAGES, now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits == [5.0, 5.0, 10.0, 5.0, 20.0]
    assert one.reasons["web"].reason == "CrashLoopBackOff"
    assert "back-off 20s restarting failed container=web pod=p_default(u)" in one.reasons["web"].message
    assert one.state.all_of("web")[0].restart_count == 2


def test_an_unknown_image_waits_and_a_known_one_in_its_place_runs() -> None:
    one = Life("u", (), 0.0)
    wait = one.advance(make_pod(image="no.invalid/x"), FOREVER, IMAGES, 0.0)
    assert one.reasons["web"].reason == "ErrImagePull" and wait is not None
    one.advance(make_pod(image="no.invalid/x"), FOREVER, IMAGES, wait)
    assert one.reasons["web"].reason == "ImagePullBackOff"
    one.advance(make_pod(image="web:2"), FOREVER, IMAGES, 3.0)
    assert state_of(one) == interface.RUNNING and not one.reasons
    one.advance(make_pod(image="web:3"), FOREVER, IMAGES, 4.0)
    assert [run.image for run in one.state.all_of("web")] == ["web:3", "web:2"]


@pytest.mark.parametrize(
    ("needs", "grace", "after", "code"), [(0.0, 30, 0.0, 143), (5.0, 30, 5.0, 143), (99.0, 2, 2.0, 137)]
)
def test_a_pod_ends_politely(needs: float, grace: int, after: float, code: int) -> None:
    one, pod, behaviour = Life("u", (), 0.0), make_pod(), Behaviour(stop=needs)
    one.advance(pod, behaviour, IMAGES, 0.0)
    wait = one.stop(pod, behaviour, grace, 10.0)
    assert (wait or 0.0) == after
    assert one.stop(pod, behaviour, grace, 10.0 + after) is None
    ended = one.state.latest("web")
    assert one.has_ended and ended is not None and ended.exit_code == code


def test_readiness_waits_for_the_first_probe() -> None:
    pod, one = make_pod(readinessProbe={"initialDelaySeconds": 7}), Life("u", (), 0.0)
    one.advance(pod, FOREVER, IMAGES, 0.0)
    (ready,) = one.readiness(pod, 1.0)[0].values()
    assert not ready and one.readiness(pod, 1.0)[1] == 6.0
    (ready,) = one.readiness(pod, 7.0)[0].values()
    assert ready


def test_a_pod_goes_on_where_its_status_says() -> None:
    pod = make_pod()
    pod["status"] = {
        "containerStatuses": [
            {
                "name": "web",
                "image": "web",
                "imageID": "web",
                "restartCount": 3,
                "containerID": "simulated://abc",
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
        ]
    }
    one = life.restored(pod, ("10.0.0.9",), 5.0)
    one.advance(pod, FOREVER, IMAGES, 5.0)
    run = one.state.latest("web")
    assert run is not None and (run.id, run.restart_count, run.started_at) == ("abc", 3, 1767225600 * 10**9)


def test_usage_grows_as_annotated_and_never_falls() -> None:
    pod = make_pod()
    pod["metadata"]["annotations"] = {
        "simulated.kubarium.io/cpu": "500m",
        "simulated.kubarium.io/memory": "2Mi",
    }
    pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "web"}]}
    usage = Usage()
    usage.page("n", [pod], 0.0)
    text = usage.page("n", [pod], 10.0)
    where = '{container="web",namespace="default",pod="p"}'
    assert f"container_cpu_usage_seconds_total{where} 5.000000\n" in text
    assert f"container_memory_working_set_bytes{where} 2097152\n" in text
    usage.forget(pod, "n")
    assert "node_cpu_usage_seconds_total 5.000000\n" in usage.page("n", [], 11.0)


def test_addresses_are_taken_and_given_back() -> None:
    assert addresses.subnet("100.64.0.0/10", 110, 257) == "100.65.1.0/24"
    assert addresses.subnet("10.0.0.0/8", 300, 1) == "10.0.2.0/23"
    with pytest.raises(ValueError, match="no room for node number 3"):
        addresses.subnet("10.0.0.0/23", 110, 2)
    few = Addresses("10.0.0.0/29")
    taken = [few.take() for _ in range(6)]
    assert taken == [("10.0.0.2",), ("10.0.0.3",), ("10.0.0.4",), ("10.0.0.5",), ("10.0.0.6",), ()]
    few.give_back(("10.0.0.4",))
    assert few.take() == ("10.0.0.4",)
