"""Pods whose containers end, and what must come of them: restarted, succeeded, failed, never begun."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.cluster.objects import BUSYBOX, pod

# The first time it fails, the second time it succeeds, the third time it goes on.
THREE_LIVES = "echo >> /lives/file; case $(wc -l < /lives/file) in 1) exit 1;; 2) exit 0;; esac; sleep 1000"


class Row(NamedTuple):
    """A pod, and what must be seen of it at the same time."""

    name: str
    spec: dict[str, Any]
    phase: str
    containers: list[tuple[str, int]]  # states and restarts (at least so many), init containers first
    initialized: tuple[str, str] = ("True", "")


def runs(name: str, *command: str, **more: Any) -> Any:
    return {
        "name": name,
        "image": BUSYBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        **more,
    }


def lives(policy: str) -> dict[str, Any]:
    """A container that remembers how often it has begun."""
    mount = [{"name": "lives", "mountPath": "/lives"}]
    return {
        "restartPolicy": policy,
        "containers": [runs("main", "sh", "-c", THREE_LIVES, volumeMounts=mount)],
        "volumes": [{"name": "lives", "emptyDir": {"medium": "Memory"}}],
    }


def begins(policy: str, first: str, second: str, main: tuple[str, ...]) -> dict[str, Any]:
    """Two init containers and one of the other sort."""
    return {
        "restartPolicy": policy,
        "initContainers": [runs("init1", first), runs("init2", second)],
        "containers": [runs("main", *main)],
    }


WAITS = "waiting PodInitializing"
INCOMPLETE = "containers with incomplete status: "
# 128 is what a container ends with that could not be started, as happens on a machine that is very busy.
RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42, 128]}}]
LISTED = "echo >> /lives/file; [ $(wc -l < /lives/file) -eq 1 ] && exit 42; exit 7"

ROWS = [
    Row("always", lives("Always"), "Running", [("running", 2)]),
    Row("on-failure", lives("OnFailure"), "Succeeded", [("terminated Completed 0", 1)]),
    Row("never", lives("Never"), "Failed", [("terminated Error 1", 0)]),
    Row(
        "begun-never", begins("Never", "true", "true", ("true",)), "Succeeded",
        [("terminated Completed 0", 0)] * 3,
    ),
    Row(
        "begun-always", begins("Always", "true", "true", ("sleep", "1000")), "Running",
        [("terminated Completed 0", 0), ("terminated Completed 0", 0), ("running", 0)],
    ),
    Row(
        "not-begun-never", begins("Never", "true", "false", ("true",)), "Failed",
        [("terminated Completed 0", 0), ("terminated Error 1", 0), (WAITS, 0)],
        ("False", INCOMPLETE + "[init2]"),
    ),
    Row(
        "not-begun-always", begins("Always", "false", "true", ("sleep", "1000")), "Pending",
        [("waiting CrashLoopBackOff", 2), (WAITS, 0), (WAITS, 0)], ("False", INCOMPLETE + "[init1 init2]"),
    ),
    Row(
        "by-rule",
        lives("Never") | {
            "containers": [
                runs(
                    "main", "sh", "-c", LISTED, restartPolicy="Never", restartPolicyRules=RULES,
                    volumeMounts=[{"name": "lives", "mountPath": "/lives"}],
                ),
            ],
        },
        "Failed", [("terminated Error 7", 1)],
    ),
    Row(
        "on-failure-of-one",
        {
            "restartPolicy": "OnFailure",
            "containers": [runs("good", "true"), runs("bad", "sh", "-c", "exit 3")],
        },
        "Running", [("terminated Completed 0", 0), ("waiting CrashLoopBackOff", 1)],
    ),
]  # fmt: skip


def objects() -> list[Any]:
    """The pods of the table."""
    return [pod(row.name, **row.spec) for row in ROWS]


def seen(found: Any) -> tuple[str, list[tuple[str, int]], tuple[str, str]]:
    """What a row asks for, of a pod as it is now."""
    status = found["status"]
    every = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    condition = next(one for one in status["conditions"] if one["type"] == "Initialized")
    return (
        status["phase"],
        [(_state(one["state"]), one["restartCount"]) for one in every],
        (condition["status"], condition.get("message", "")),
    )


def _state(state: Any) -> str:
    ((name, about),) = state.items()
    about = about or {}
    return " ".join(
        str(word) for word in (name, about.get("reason", ""), about.get("exitCode", "")) if word != ""
    )


def is_as_wanted(row: Row, found: Any) -> bool:
    """Is it so now? Whoever is restarted may have been restarted more often by now."""
    phase, containers, initialized = seen(found)
    if (phase, initialized) != (row.phase, row.initialized) or len(containers) != len(row.containers):
        return False
    pairs = zip(containers, row.containers, strict=True)
    return all(state == wanted and count >= times for (state, count), (wanted, times) in pairs)
