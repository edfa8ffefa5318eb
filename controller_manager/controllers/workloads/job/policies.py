"""Pure: what the failure policy says about a failed pod, and whether the success policy is fulfilled.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy and #success-policy
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller_manager.controllers.workloads.job import indexes
from kubarium.apimachinery.object import Object, key_of, spec_of, status_of

FAIL_JOB, FAIL_INDEX, IGNORE, COUNT = "FailJob", "FailIndex", "Ignore", "Count"


@dataclass(frozen=True)
class Verdict:
    """What a failed pod means for its job."""

    action: str
    message: str = ""


NO_RULE = Verdict(COUNT)


def judge(policy: Object | None, pod: Object) -> Verdict:
    """The first rule that matches a failed pod decides."""
    for number, rule in enumerate((policy or {}).get("rules") or []):
        action = rule.get("action") or COUNT
        if rule.get("onExitCodes"):
            match = _exit_code(rule["onExitCodes"], pod)
            if match is not None:
                name, code = match
                return Verdict(
                    action,
                    f"Container {name} for pod {key_of(pod)} failed with exit code {code} matching {action} "
                    f"rule at index {number}",
                )
        elif rule.get("onPodConditions"):
            condition = _condition(rule["onPodConditions"], pod)
            if condition is not None:
                return Verdict(
                    action,
                    f"Pod {key_of(pod)} has condition {condition} matching {action} rule at index {number}",
                )
    return NO_RULE


def _exit_code(rule: Object, pod: Object) -> tuple[str, int] | None:
    status = status_of(pod)
    listed = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    for one in listed:
        if rule.get("containerName") and rule["containerName"] != one.get("name"):
            continue
        terminated = (one.get("state") or {}).get("terminated")
        if terminated is None or not terminated.get("exitCode"):
            continue
        inside = terminated["exitCode"] in (rule.get("values") or [])
        if inside == (rule.get("operator") == "In"):
            return one.get("name") or "", terminated["exitCode"]
    return None


def _condition(patterns: Iterable[Object], pod: Object) -> str | None:
    for pattern in patterns:
        for condition in status_of(pod).get("conditions") or []:
            wanted = pattern.get("status") or "True"
            if (condition.get("type"), condition.get("status")) == (pattern.get("type"), wanted):
                return str(condition["type"])
    return None


def matched_success_rule(job: Object, succeeded: set[int]) -> int | None:
    """The number of the first rule of the success policy that is fulfilled."""
    for number, rule in enumerate((spec_of(job).get("successPolicy") or {}).get("rules") or []):
        wanted = rule.get("succeededIndexes")
        count = rule.get("succeededCount")
        among = succeeded & indexes.parse(wanted) if wanted is not None else succeeded
        needed = count if count is not None else len(indexes.parse(wanted or ""))
        if len(among) >= needed:
            return number
    return None
