"""Carries out a pod's plan: the only place that starts and stops sandboxes and containers.

    1  kill the whole pod, when its sandbox is no good or everything in it is done
    2  kill single containers: changed, unhealthy; give running ones new limits
    3  remove what was made and never started, and old runs of the init container that comes next
    4  make the sandbox and learn its addresses
    5  start ephemeral containers
    6  start the next init container, or restart sidecars
    7  start containers

Why a container does not run is remembered in `reasons` until it does; the pod's status shows it as the waiting state.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.options import format_duration
from kubelet import metrics
from kubelet.runtime import container as container_module
from kubelet.runtime import garbage, interface, plan, sandbox
from kubelet.runtime.container import SeccompDefaults
from kubelet.runtime.hooks import HookError, Hooks
from kubelet.runtime.inputs import ContainerInputs, Recorder
from kubelet.runtime.interface import (
    ContainerConfig,
    ContainerRuntimeError,
    ContainerStatus,
    Runtime,
    SandboxConfig,
    StartError,
)
from kubelet.runtime.plan import Kill, PodPlan, Probed
from kubelet.runtime.restart_backoff import RestartBackoff
from kubelet.runtime.state import PodState
from kubelet.runtime.state import read as read_state

log = logging.get(__name__)

MINIMUM_GRACE = 2  # seconds that a container gets after a preStop hook used up its grace period
DEFAULT_GRACE = 30
PARALLEL_STARTS = 4  # starts at a time: more only makes each of them slower

CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pass did. `errors` make the pass be repeated; `retry_after` is when a back-off ends."""

    acted: bool = False
    errors: tuple[str, ...] = ()
    retry_after: float | None = None
    resize_error: str = ""
    resized: bool = False

    @property
    def went_well(self) -> bool:
        """Did everything that the pass was for come about?"""
        return self.acted and not self.errors and self.retry_after is None


@dataclass(slots=True)
class _Pass:
    acted: bool = False
    errors: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    resize_error: str = ""
    resized: bool = False

    def outcome(self) -> Outcome:
        wait = min(self.waits) if self.waits else None
        return Outcome(self.acted, tuple(self.errors), wait, self.resize_error, self.resized)


class RuntimeManager:
    """Makes the runtime's containers those of the pod."""

    def __init__(
        self,
        runtime: Runtime,
        inputs: ContainerInputs,
        recorder: Recorder,
        clock: Clock,
        *,
        seccomp: SeccompDefaults,
        on_kill: Callable[[str], None] = lambda container_id: None,
        backoff: RestartBackoff | None = None,
    ) -> None:
        self.runtime = runtime
        self.inputs = inputs
        self.recorder = recorder
        self.clock = clock
        self.hooks = Hooks(runtime, recorder, clock)
        self.backoff = backoff or RestartBackoff()
        self.reasons: dict[tuple[str, str], StartError] = {}
        self.removed: dict[
            tuple[str, str], ContainerStatus
        ] = {}  # how containers ended that begin anew with all others
        self._seccomp = seccomp
        self._on_kill = on_kill
        self._starts = asyncio.Semaphore(PARALLEL_STARTS)

    async def state(self, pod_uid: str) -> PodState:
        """What the runtime says of a pod now."""
        return await read_state(self.runtime, pod_uid)

    # -- one pass --------------------------------------------------------------------------------------------------

    async def sync(self, pod: Object, state: PodState, probed: Probed) -> Outcome:
        """Compute the plan for a pod and carry it out."""
        steps = plan.compute(pod, state, probed, self.inputs.limits(pod))
        done = _Pass()
        if steps.is_empty:
            return done.outcome()
        log.debug("plan for %s: %s", logging.name(pod), steps)
        if steps.kill_pod:  # 1
            if steps.create_sandbox and steps.sandbox_id:
                text = "Pod sandbox changed, it will be killed and re-created."
                self.recorder.event(pod, "Normal", "SandboxChanged", text)
            await self.kill_pod(pod, state)
            done.acted = True
            if not steps.create_sandbox:
                return done.outcome()
            state = PodState(state.uid, (), state.containers)
        else:
            await self._kill_some(pod, state, steps.kill, done)  # 2
            await self._resize(state, steps.update, done)
        if steps.reset:
            return await self._reset(pod, steps.reset, done)
        await self._discard_unstarted(state, steps.starts)  # 3
        await self._prune_init(state, steps.start_init)
        if not steps.starts and not steps.create_sandbox:
            return done.outcome()
        due = [name for name in steps.starts if self._is_due(pod, name, state, done)]
        if not due and not steps.create_sandbox:
            return done.outcome()
        await self._start(pod, state, steps, due, done)
        return done.outcome()

    async def _start(self, pod: Object, state: PodState, steps: PodPlan, due: list[str], done: _Pass) -> None:
        try:
            options = await self.inputs.sandbox(pod)
        except (StartError, ContainerRuntimeError) as error:
            self.recorder.event(
                pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"
            )
            raise
        for reason, text in options.warnings:
            self.recorder.event(pod, "Warning", reason, text)
        attempt = steps.attempt
        config = sandbox.sandbox_config(pod, options, attempt)
        sandbox_id, ips = steps.sandbox_id, state.ips
        if steps.create_sandbox:  # 4
            made = await self._make_sandbox(pod, config, options.log_directory, options.runtime_handler, done)
            if made is None:
                return
            sandbox_id, ips = made
        for name in due:  # 5, 6, 7: the plan lists them in this order
            await self._start_one(pod, name, sandbox_id, config, ips, state, done)

    async def _make_sandbox(
        self, pod: Object, config: SandboxConfig, log_directory: str, handler: str, done: _Pass
    ) -> tuple[str, tuple[str, ...]] | None:
        try:
            Path(log_directory).mkdir(parents=True, exist_ok=True)
            metrics.STARTED_PODS.add()
            async with self._starts:
                with metrics.SANDBOX_SECONDS.timed((handler,)):
                    sandbox_id = await self.runtime.run_sandbox(config, handler)
            status = await self.runtime.sandbox_status(sandbox_id)
        except (ContainerRuntimeError, OSError) as error:
            metrics.FAILED_PODS.add()
            metrics.FAILED_SANDBOXES.add((handler,))
            self.recorder.event(
                pod,
                "Warning",
                "FailedCreatePodSandBox",
                f"Failed to create pod sandbox: {interface.rpc_text(error)}",
            )
            done.errors.append(f"failed to create sandbox: {error}")
            return None
        done.acted = True
        return sandbox_id, status.ips

    # -- starting --------------------------------------------------------------------------------------------------

    def _is_due(self, pod: Object, name: str, state: PodState, done: _Pass) -> bool:
        """May the container be started now, or is it in back-off?"""
        container = pod_containers.find(pod, name)
        last = next((one for one in state.all_of(name) if one.state == interface.EXITED), None)
        if container is None or last is None:
            return container is not None
        key, now = self._backoff_key(pod, container), self.clock.now().timestamp()
        finished = last.finished_at / 1e9
        remaining = self.backoff.remaining(key, finished, now)
        if remaining <= 0:
            self.backoff.next(key, finished, now)
            return True
        where = f"{name} pod={name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        self._event(
            pod,
            container,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {name} in pod {name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})",
        )
        self.reasons[uid_of(pod), name] = StartError(
            CRASH_LOOP,
            f"back-off {format_duration(round(self.backoff.delay(key)))} restarting failed container={where}",
        )
        done.waits.append(remaining)
        return False

    @staticmethod
    def _backoff_key(pod: Object, container: Object) -> str:
        return f"{uid_of(pod)}/{container['name']}/{plan.container_hash(container)}"

    async def _start_one(
        self,
        pod: Object,
        name: str,
        sandbox_id: str,
        config: SandboxConfig,
        ips: Sequence[str],
        state: PodState,
        done: _Pass,
    ) -> None:
        container = pod_containers.find(pod, name)
        if container is None:
            return
        kind = metrics.kind_of(pod, container)
        metrics.STARTED_CONTAINERS.add((kind,))
        try:
            await self._run_container(pod, container, sandbox_id, config, ips, state)
        except StartError as error:
            metrics.FAILED_CONTAINERS.add((kind, error.reason))
            self.reasons[uid_of(pod), name] = error
            done.errors.append(
                f'failed to "StartContainer" for "{name}" with {error.reason}: "{error.message}"'
            )
            log.info("container %s of %s not started: %s", name, logging.name(pod), error)
        else:
            self.reasons.pop((uid_of(pod), name), None)
        done.acted = True

    async def _run_container(
        self,
        pod: Object,
        container: Object,
        sandbox_id: str,
        config: SandboxConfig,
        ips: Sequence[str],
        state: PodState,
    ) -> None:
        """Pull, configure, create, start, postStart. Raises StartError."""
        name = container["name"]
        try:
            image_ref = await self.inputs.pull(pod, container, config)
        except StartError as error:
            text = error.message if error.reason == "CreateContainerError" else error.reason
            self._event(pod, container, "Warning", "Failed", f"Error: {text}")
            raise
        restart_count = self._restart_count(container, state, config["log_directory"])
        try:
            options = await self.inputs.container(pod, container, image_ref, ips, restart_count)
            target = self._target_id(pod, container, state)
            wanted = container_module.container_config(
                pod, container, options, restart_count, target, self._seccomp
            )
        except StartError as error:
            self._event(pod, container, "Warning", "Failed", f"Error: {error.message}")
            raise
        (Path(config["log_directory"]) / name).mkdir(parents=True, exist_ok=True)
        async with self._starts:
            container_id = await self._create_and_start(pod, container, sandbox_id, wanted, config)
        self._event(pod, container, "Normal", "Started", "Container started")
        await self._post_start(pod, container, container_id, ips)

    async def _create_and_start(
        self, pod: Object, container: Object, sandbox_id: str, wanted: ContainerConfig, config: SandboxConfig
    ) -> str:
        try:
            container_id = await self.runtime.create_container(sandbox_id, wanted, config)
        except ContainerRuntimeError as error:
            self._event(pod, container, "Warning", "Failed", f"Error: {error}")
            raise StartError("CreateContainerError", str(error)) from error
        self._event(pod, container, "Normal", "Created", "Container created")
        try:
            await _to_its_end(self.runtime.start_container(container_id))
        except ContainerRuntimeError as error:
            self._event(pod, container, "Warning", "Failed", f"Error: {error}")
            raise StartError("RunContainerError", str(error)) from error
        return container_id

    def _restart_count(self, container: Object, state: PodState, log_directory: str) -> int:
        runs = state.all_of(container["name"])
        last = next((one for one in runs if one.was_started), None)
        if not runs:
            last = self.removed.get((state.uid, container["name"]))
        if last is not None:
            return last.restart_count + 1
        if runs:
            return runs[0].restart_count
        # All containers may have been removed (a node that was rebuilt); the logs still tell. An empty one tells
        # nothing: the runtime opens it before the container starts.
        logs = Path(log_directory) / container["name"]
        numbers = [
            int(log.name.partition(".")[0])
            for log in logs.glob("*.log*")
            if log.name.partition(".")[0].isdigit() and log.stat().st_size
        ]
        return max(numbers) + 1 if numbers else 0

    def _target_id(self, pod: Object, container: Object, state: PodState) -> str:
        target = container_module.target_of(pod, container)
        if not target:
            return ""
        status = state.latest(target)
        if status is None or status.state != interface.RUNNING:
            raise StartError("CreateContainerConfigError", f'unable to find target container "{target}"')
        return status.id

    async def _post_start(
        self, pod: Object, container: Object, container_id: str, ips: Sequence[str]
    ) -> None:
        handler = (container.get("lifecycle") or {}).get("postStart")
        if not handler:
            return
        try:
            await self.hooks.run(pod, container, container_id, handler, ips[0] if ips else "")
        except (HookError, ValueError) as error:
            self._event(pod, container, "Warning", "FailedPostStartHook", "PostStartHook failed")
            log.info("postStart of %s in %s failed: %s", container["name"], logging.name(pod), error)
            status = await self.runtime.container_status(container_id)
            kill = Kill(container_id, container["name"], "FailedPostStartHook", "FailedPostStartHook")
            await self._kill_container(pod, container, status, kill, None)
            raise StartError("PostStartHookError", str(error)) from error

    # -- stopping --------------------------------------------------------------------------------------------------

    async def _kill_some(self, pod: Object, state: PodState, kills: Sequence[Kill], done: _Pass) -> None:
        by_id = {status.id: status for status in state.containers}
        for kill in kills:
            container = pod_containers.find(pod, kill.name)
            grace = 0 if kill.reason == plan.RESTART_ALL else None  # then without preStop, too
            await self._kill_container(pod, container, by_id[kill.id], kill, grace)
            done.acted = True
            done.resized |= kill.reason == plan.RESIZE

    async def _reset(self, pod: Object, ids: Sequence[str], done: _Pass) -> Outcome:
        """Remove all containers that ended, so that the next pass, which comes at once, begins anew."""
        for container_id in ids:
            status = await self.runtime.container_status(container_id)
            if status.was_started:
                self.removed[uid_of(pod), status.name] = status
            await self.runtime.remove_container(container_id)
        for key in [key for key in self.reasons if key[0] == uid_of(pod)]:
            del self.reasons[key]
        done.acted = True
        done.waits.append(0.01)
        return done.outcome()

    async def _resize(self, state: PodState, updates: Sequence[plan.Update], done: _Pass) -> None:
        done.resize_error = await self._over_use(plan.memory_cuts(state, updates))
        if done.resize_error:
            done.errors.append(done.resize_error)
            return
        for update in updates:
            # No limit is said as -1: 0 would leave the old one.
            wanted = {"cpu_quota": -1, "memory_limit_in_bytes": -1, **update.resources}
            try:
                await self.runtime.update_container_resources(update.id, wanted)
                done.acted = done.resized = True
            except ContainerRuntimeError as error:
                done.resize_error = f"resize of {update.name} failed: {error}"
                done.errors.append(done.resize_error)

    async def _over_use(self, cuts: Sequence[plan.Update]) -> str:
        """Memory limits are not lowered below what is used: the kernel would kill. The answer says which would be."""
        if not cuts:
            return ""
        used = {one.id: one.memory_usage for one in await self.runtime.container_usage()}
        return "; ".join(
            f'attempting to set container "{cut.name}" memory limit ({limit}) below current usage ({used[cut.id]})'
            for cut in cuts
            if (limit := cut.resources["memory_limit_in_bytes"]) < used.get(cut.id, 0)
        )

    async def _discard_unstarted(self, state: PodState, names: Sequence[str]) -> None:
        """Whoever made it was killed before it could be started: it is made again, under the same number.

        When the runtime refuses, because it is just starting it after all, the next pass will find it running.
        """
        for name in names:
            for one in state.all_of(name):
                if not one.was_started:
                    await self.runtime.remove_container(one.id)

    async def _prune_init(self, state: PodState, names: Sequence[str]) -> None:
        """Keep only the newest dead one of an init container that is about to run again."""
        for name in names:
            dead = [one for one in state.all_of(name) if one.state == interface.EXITED]
            for old in dead[1:]:
                await garbage.remove_container(self.runtime, old.id)

    async def kill_pod(self, pod: Object, state: PodState, grace: int | None = None) -> None:
        """Stop all containers, then the sandboxes. `grace` overrides what the pod says.

        Containers end together; after them the sidecars end one by one, the last started first.
        """
        started = self.clock.monotonic()
        sidecars = [container["name"] for container in reversed(pod_containers.sidecars_of(pod))]
        running = [one for one in state.containers if one.state in (interface.RUNNING, interface.UNKNOWN)]
        ordinary = [one for one in running if one.name not in sidecars]
        total = self._grace_of(pod, None, grace, "")
        await asyncio.gather(*(self._stop_in_pod(pod, one, grace) for one in ordinary))
        for name in sidecars:
            left = max(0 if grace == 0 else MINIMUM_GRACE, int(total - (self.clock.monotonic() - started)))
            waiting = [
                self._stop_in_pod(pod, one, left if ordinary else grace)
                for one in running
                if one.name == name
            ]
            await asyncio.gather(*waiting)
        for box in state.sandboxes:
            await self.runtime.stop_sandbox(box.id)

    async def _stop_in_pod(self, pod: Object, status: ContainerStatus, grace: int | None) -> None:
        container = pod_containers.find(pod, status.name)
        await self._kill_container(pod, container, status, Kill(status.id, status.name, "", ""), grace)

    async def _kill_container(
        self, pod: Object, container: Object | None, status: ContainerStatus, kill: Kill, grace: int | None
    ) -> None:
        seconds = self._grace_of(pod, container, grace, kill.reason, status)
        known = container or {"name": status.name}
        self._event(pod, known, "Normal", "Killing", kill.message or f"Stopping container {status.name}")
        self._on_kill(status.id)
        if seconds > 0:
            seconds = await self._pre_stop(pod, known, status, seconds)
            if grace != 0:
                seconds = max(seconds, MINIMUM_GRACE)
        await self.runtime.stop_container(status.id, seconds)

    async def _pre_stop(self, pod: Object, container: Object, status: ContainerStatus, seconds: int) -> int:
        """Run the hook within the grace period; returns what is left of it."""
        handler = (container.get("lifecycle") or {}).get("preStop")
        if not handler and interface.PRE_STOP_HANDLER in status.annotations:
            handler = json.loads(status.annotations[interface.PRE_STOP_HANDLER])
        if not handler:
            return seconds
        started = self.clock.monotonic()
        ips = [one.get("ip") for one in (pod.get("status") or {}).get("podIPs") or []]
        try:
            async with asyncio.timeout(seconds):
                await self.hooks.run(pod, container, status.id, handler, ips[0] or "" if ips else "", seconds)
        except TimeoutError:
            log.info("preStop of %s in %s did not end in time", status.name, logging.name(pod))
        except (HookError, ValueError) as error:
            self._event(pod, container, "Warning", "FailedPreStopHook", "PreStopHook failed")
            log.info("preStop of %s in %s failed: %s", status.name, logging.name(pod), error)
        return max(0, seconds - round(self.clock.monotonic() - started))

    @staticmethod
    def _grace_of(
        pod: Object,
        container: Object | None,
        grace: int | None,
        reason: str,
        status: ContainerStatus | None = None,
    ) -> int:
        """Seconds between TERM and KILL: what was asked for, else the probe's, else the pod's."""
        if grace is not None:
            return max(0, grace)
        own = container or {}
        probe = own.get("livenessProbe") if reason == plan.LIVENESS else None
        probe = own.get("startupProbe") if reason == plan.STARTUP else probe
        if probe and probe.get("terminationGracePeriodSeconds") is not None:
            return int(probe["terminationGracePeriodSeconds"])
        metadata = pod.get("metadata") or {}
        if metadata.get("deletionTimestamp") and metadata.get("deletionGracePeriodSeconds") is not None:
            return int(metadata["deletionGracePeriodSeconds"])
        seconds = spec_of(pod).get("terminationGracePeriodSeconds")
        if seconds is None and status is not None:
            seconds = status.annotations.get(interface.POD_TERMINATION_GRACE_PERIOD)
        return DEFAULT_GRACE if seconds is None else int(seconds)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone: drop what is remembered of it."""
        self.backoff.forget(f"{pod_uid}/")
        for key in [key for key in self.reasons if key[0] == pod_uid]:
            del self.reasons[key]
        for key in [key for key in self.removed if key[0] == pod_uid]:
            del self.removed[key]

    def _event(self, pod: Object, container: Object, type: str, reason: str, message: str) -> None:
        self.recorder.event(
            pod, type, reason, message, field_path=pod_containers.field_path_of(pod, container)
        )


async def _to_its_end(start: Coroutine[object, object, None]) -> None:
    """A start is not given up with the pass: half of one would look as if the container had failed."""
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.gather(starting, return_exceptions=True)
        raise
