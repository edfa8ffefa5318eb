"""Pure: pod + runtime state + probe results -> PodStatus.

What the API server already knows of the pod (the old status) counts in two ways: a container that has been removed is
remembered as it was, and a phase never goes back.
Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from datetime import datetime

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import resources
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, generation_of, spec_of, status_of
from kubelet.status.conditions import conditions_of
from kubelet.status.containers import end_what_has_not_ended, status_of_container
from kubelet.status.phase import phase_of
from kubelet.status.seen import Seen

ENDED = (pod_status.SUCCEEDED, pod_status.FAILED)


def generate(pod: Object, seen: Seen, now: datetime) -> Object:
    """The complete status."""
    old = status_of(pod)
    spec = spec_of(pod)
    init = [status_of_container(pod, one, seen) for one in pod_containers.init_containers_of(pod)]
    main = [status_of_container(pod, one, seen) for one in pod_containers.containers_of(pod)]
    ephemeral = [status_of_container(pod, one, seen) for one in pod_containers.ephemeral_containers_of(pod)]
    phase = phase_of(pod, init, main, seen)
    if old.get("phase") in ENDED:
        phase = old["phase"]
    if seen.terminating:
        end_what_has_not_ended(pod, init, main)
        if phase not in ENDED and not is_static(pod):
            phase = pod_status.FAILED
    status: Object = {
        "observedGeneration": generation_of(pod) or None,
        "phase": phase,
        "hostIP": seen.host_ips[0] if seen.host_ips else None,
        "hostIPs": [{"ip": ip} for ip in seen.host_ips] or None,
        "startTime": old.get("startTime") or time.format_time(now),
        "initContainerStatuses": init or None,
        "containerStatuses": main,
        "ephemeralContainerStatuses": ephemeral or None,
        "qosClass": old.get("qosClass") or resources.qos_class(pod),
        "reason": old.get("reason"),
        "message": old.get("message"),
        "resourceClaimStatuses": old.get(
            "resourceClaimStatuses"
        ),  # of the controllers: the kubelet reads them
        "extendedResourceClaimStatus": old.get("extendedResourceClaimStatus"),
    }
    if spec.get("resources"):
        status["resources"] = spec["resources"]
        status["allocatedResources"] = spec["resources"].get("requests")
    ips = list(seen.host_ips) if spec.get("hostNetwork") and seen.state.sandbox else list(seen.state.ips)
    if not ips:  # keep the address of a pod that has ended
        ips = [entry["ip"] for entry in old.get("podIPs") or []]
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    status["conditions"] = conditions_of(pod, status, seen, now)
    return {key: value for key, value in status.items() if value is not None}


def failed(pod: Object, reason: str, message: str, now: datetime) -> Object:
    """The status of a pod that is refused or given up."""
    status: Object = {
        **{key: value for key, value in status_of(pod).items() if key != "conditions"},
        "phase": pod_status.FAILED,
        "reason": reason,
        "message": message,
        "startTime": status_of(pod).get("startTime") or time.format_time(now),
        "qosClass": status_of(pod).get("qosClass") or resources.qos_class(pod),
        "conditions": [dict(condition) for condition in status_of(pod).get("conditions") or []],
    }
    if generation_of(pod):
        status["observedGeneration"] = generation_of(pod)
    return status
