"""What a kubelet needs of its machine before the first pod comes."""

from __future__ import annotations

from pathlib import Path

from kubarium.component_base import logging
from kubelet import reservations
from kubelet.node import machine
from kubelet.options import Options
from kubelet.resources.cgroups import Cgroups
from kubelet.volumes import mounts

log = logging.get(__name__)


class UnfitMachine(Exception):
    """The kubelet may not run here as it was told to."""


def check(options: Options) -> None:
    """May a kubelet with these options run here? Raises UnfitMachine."""
    found = machine.look()
    if options.fail_swap_on and found.swap:
        raise UnfitMachine(
            "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false"
        )
    if options.fail_cgroup_v1 and not Cgroups().is_v2:
        raise UnfitMachine(
            "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be "
            "removed in a future release"
        )
    policy, numa_nodes = options.topology_manager_policy, machine.numa_nodes()
    if policy != "none" and numa_nodes > 1:  # on a single one everything lies together
        raise UnfitMachine(
            f'topologyManagerPolicy {policy} is not supported on a machine with {numa_nodes} NUMA nodes, only "none"'
        )
    whole = {
        "cpu": 1000 * found.cpus,
        "memory": found.memory,
        "ephemeral-storage": machine.disk(options.root_dir)[0],
        "pid": machine.processes()[0],
    }
    try:
        reservations.check(options, found.cpus, whole)
    except reservations.Unreservable as error:
        raise UnfitMachine(str(error)) from error


def prepare(options: Options, root: Path, cgroups: Cgroups) -> None:
    """Directories, shared mounts, cgroups; what the machine refuses is logged, for most pods run without it."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(options.oom_score_adj))
    except OSError as error:
        log.info("oom-score-adj %d not applied: %s", options.oom_score_adj, error)
    (root / "pods").mkdir(parents=True, exist_ok=True)
    Path(options.pod_logs_dir).mkdir(parents=True, exist_ok=True)
    try:
        mounts.share(str(root))
    except OSError as error:
        log.info("mounts of pods cannot be shared with containers: %s", error)
    try:
        cgroups.set_up()
    except OSError as error:
        log.warning("cgroups of pods not set up: %s", error)
