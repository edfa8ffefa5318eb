"""csi: volumes of drivers that registered on this node.

    set_up      1 attached?  2 stage, once for all pods  3 publish, for this pod  4 grow  5 fsGroup
    tear_down   1 unpublish  2 unstage, after the last pod  3 let it be detached

Notes on disk tell which volumes there are, so a kubelet that was killed between two steps goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from kubarium.apimachinery.object import Object, namespace_of, spec_of, status_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.plugin_socket import PluginError
from kubelet.runtime.inputs import Recorder
from kubelet.volumes import mounts, ownership
from kubelet.volumes.csi import expansion, places, requests
from kubelet.volumes.csi.drivers import Drivers, UnknownDriver
from kubelet.volumes.csi.node_client import (
    BYTES,
    CONDITION,
    MOUNT_GROUP,
    MULTI_WRITER,
    STAGE,
    STATS,
    NodeClient,
)
from kubelet.volumes.csi.places import NOTE, Note, Places
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError, VolumeHost

log = logging.get(__name__)

ATTACH_TIMEOUT = 120.0  # seconds
DEVICE = "MountVolume.MountDevice"
DEFAULT_TOKEN_SECONDS = 3600


class CSI(Plugin):
    """`csi: {driver, ...}`, inline or of a persistent volume."""

    name = "csi"

    def __init__(
        self,
        host: VolumeHost,
        drivers: Drivers,
        root: Path,
        clock: Clock,
        *,
        node: str,
        in_use_changed: Callable[[], None],
        recorder: Recorder,
    ) -> None:
        self._host = host
        self._drivers = drivers
        self._places = Places(root)
        self._clock = clock
        self._node = node
        self._in_use_changed = in_use_changed
        self._recorder = recorder
        self._locks: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._staged: set[Path] = set()
        self._published: set[str] = (
            set()
        )  # both by this process: after a restart everything is said once more
        self._wanted: dict[str, set[str]] = {}  # not mounted yet, but nobody should detach them: by pods
        self._owned: set[str] = set()

    def supports(self, volume: Object) -> bool:
        return volume.get("csi") is not None

    def in_use(self) -> list[str]:
        """Attached volumes that pods here have or are about to have, as the node's status names them."""
        known = {
            requests.unique_name(note.driver, note.handle)
            for note in [*self._places.published(), *self._places.staged()]
            if note.attachment
        }
        return sorted(known.union(self._wanted))

    # -- up --------------------------------------------------------------------------------------------------------

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        driver, handle = volume["csi"]["driver"], requests.handle_of(pod, volume)
        try:
            client = self._drivers.get(driver)
        except UnknownDriver as error:
            raise VolumeError(
                f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: {error}"
            ) from error
        facts = spec_of(self._host.csi_driver(driver) or {})
        self._check_mode(driver, volume)
        note = Note(
            driver,
            handle,
            "" if requests.is_inline(volume) else volume["name"],
            self._attachment(driver, handle, volume, facts),
            requests.is_block(volume),
            self._node,
        )
        async with self._locks[driver, handle]:
            return await self._set_up(pod, volume, directory, client, note, facts)

    def _check_mode(self, driver: str, volume: Object) -> None:
        if not requests.is_inline(volume):
            return
        known = self._host.csi_driver(driver)
        if known is None:
            text = f'volume mode "Ephemeral" not supported by driver {driver} (no CSIDriver object)'
            raise VolumeError(text, "")
        modes = spec_of(known).get("volumeLifecycleModes") or ["Persistent"]
        if "Ephemeral" not in modes:
            listed = " ".join(f'"{mode}"' for mode in modes)
            text = f'volume mode "Ephemeral" not supported by driver {driver} (only supports [{listed}])'
            raise VolumeError(text, "")

    def _attachment(self, driver: str, handle: str, volume: Object, facts: Object) -> str:
        if requests.is_inline(volume) or facts.get("attachRequired") is False:
            return ""
        return requests.attachment_name(handle, driver, self._node)

    async def _set_up(
        self, pod: Object, volume: Object, directory: Path, client: NodeClient, note: Note, facts: Object
    ) -> Mounted:
        read_only = bool(volume.get("readOnly") or volume["csi"].get("readOnly"))
        target = self._target(pod, directory, note)
        done = str(directory) in self._published and (note.block or mounts.is_mount_point(str(target)))
        if not done or facts.get("requiresRepublish"):
            context = await self._attached(pod, note)  # 1
            staging = await self._stage(pod, volume, client, note, context)  # 2
            await self._publish(pod, volume, directory, client, note, context, staging, read_only, facts)  # 3
        await self._grow(pod, volume, client, note, target)  # 4
        if note.block:
            return Mounted(device=str(self._link_device(directory, target)), read_only=read_only)
        if str(directory) not in self._owned:
            await self._give_to_group(pod, volume, client, facts, target)  # 5
            self._owned.add(str(directory))
        return Mounted(str(target), read_only=read_only)

    def _target(self, pod: Object, directory: Path, note: Note) -> Path:
        return self._places.device(note, uid_of(pod)) if note.block else directory / "mount"

    async def _attached(self, pod: Object, note: Note) -> dict[str, str]:
        """Wait until the driver's attacher has brought the volume to this node; returns what it has to say."""
        if not note.attachment:
            return {}
        name = requests.unique_name(note.driver, note.handle)
        if name not in self._wanted:
            self._in_use_changed()
        self._wanted.setdefault(name, set()).add(uid_of(pod))
        await self._host.told_in_use([name])
        deadline, wait = self._clock.monotonic() + ATTACH_TIMEOUT, 0.1
        while True:
            found = status_of(await self._host.attachment(note.attachment) or {})
            if found.get("attached"):
                return dict(found.get("attachmentMetadata") or {})
            if found.get("attachError"):
                raise VolumeError(str(found["attachError"].get("message")), "MountVolume.WaitForAttach")
            if self._clock.monotonic() > deadline:
                raise VolumeError(
                    f"timed out waiting for external-attacher of {note.driver} CSI driver "
                    f"to attach volume {note.handle}",
                    "MountVolume.WaitForAttach",
                )
            await self._clock.sleep(wait)
            wait = min(1.0, 1.5 * wait)

    async def _stage(
        self, pod: Object, volume: Object, client: NodeClient, note: Note, context: Mapping[str, str]
    ) -> str:
        """Returns where the volume is staged; empty for drivers that do not stage."""
        try:
            if requests.is_inline(volume) or not await client.can(STAGE):
                return ""
            place = self._places.staging(note)
            if place in self._staged:
                return str(place)
            place.mkdir(parents=True, exist_ok=True, mode=0o750)
            places.write(self._places.staged_note(note), note)
            await client.stage(
                volume_id=note.handle,
                publish_context=context,
                staging_target_path=str(place),
                volume_capability=await self._capability(pod, volume, client),
                secrets=await self._secret(pod, volume, "nodeStageSecretRef"),
                volume_context=volume["csi"].get("volumeAttributes") or {},
            )
            self._staged.add(place)
            return str(place)
        except PluginError as error:
            if error.is_final and not mounts.is_mount_point(str(place)):
                places.remove(place, self._places.staged_note(note), self._places.staged_note(note).parent)
            raise VolumeError(str(error), DEVICE) from error
        except OSError as error:
            raise VolumeError(str(error), DEVICE) from error

    async def _publish(
        self,
        pod: Object,
        volume: Object,
        directory: Path,
        client: NodeClient,
        note: Note,
        context: Mapping[str, str],
        staging: str,
        read_only: bool,
        facts: Object,
    ) -> None:
        target = self._target(pod, directory, note)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        places.write(directory / NOTE, note)
        attributes = dict(volume["csi"].get("volumeAttributes") or {})
        if facts.get("podInfoOnMount"):
            attributes |= requests.pod_info(pod, volume)
        secrets = await self._secret(pod, volume, "nodePublishSecretRef")
        tokens = await self._tokens(pod, facts)
        (secrets if facts.get("serviceAccountTokenInSecrets") else attributes).update(tokens)
        try:
            await client.publish(
                volume_id=note.handle,
                publish_context=context,
                staging_target_path=staging,
                target_path=str(target),
                volume_capability=await self._capability(pod, volume, client),
                readonly=read_only,
                secrets=secrets,
                volume_context=attributes,
            )
        except PluginError as error:
            if error.is_final and str(directory) not in self._published:
                self._forget_publication(directory, target)
            raise VolumeError(str(error)) from error
        self._published.add(str(directory))

    async def _capability(self, pod: Object, volume: Object, client: NodeClient) -> dict[str, Any]:
        group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
        delegated = group is not None and await client.can(MOUNT_GROUP)
        return requests.capability(
            volume, exact=await client.can(MULTI_WRITER), mount_group=str(group) if delegated else ""
        )

    async def _secret(self, pod: Object, volume: Object, field: str) -> dict[str, str]:
        reference = volume["csi"].get(field)
        if not reference:
            return {}
        namespace = reference.get("namespace") or namespace_of(pod)
        found = await self._host.fetch("Secret", namespace, reference["name"])
        if found is None:
            text = f"fetching {field[0].upper() + field[1:]} {namespace}/{reference['name']} failed: "
            raise VolumeError(f'{text}secrets "{reference["name"]}" not found')
        return requests.secret_data(found)

    async def _tokens(self, pod: Object, facts: Object) -> dict[str, str]:
        wanted = facts.get("tokenRequests") or []
        if not wanted:
            return {}
        found = {}
        for one in wanted:
            seconds = one.get("expirationSeconds") or DEFAULT_TOKEN_SECONDS
            found[one.get("audience") or ""] = await self._host.token_status(
                pod, one.get("audience") or "", seconds
            )
        return {requests.TOKENS: orjson.dumps(found).decode()}

    async def _give_to_group(
        self, pod: Object, volume: Object, client: NodeClient, facts: Object, target: Path
    ) -> None:
        group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
        policy = facts.get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
        if group is None or await client.can(MOUNT_GROUP) or not requests.may_give_to_group(policy, volume):
            return
        try:
            await asyncio.to_thread(ownership.give_to_group, pod, str(target), group)
        except OSError as error:
            raise VolumeError(
                f"applyFSGroup failed for vol {volume['csi'].get('volumeHandle')}: {error}"
            ) from error

    def _link_device(self, directory: Path, target: Path) -> Path:
        """The pod's own name for a device; returns what the container is given."""
        link = directory / "device"
        if not link.is_symlink() or os.readlink(link) != str(target):
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(target)
        return Path(os.path.realpath(target))

    # -- growth ----------------------------------------------------------------------------------------------------

    async def _grow(self, pod: Object, volume: Object, client: NodeClient, note: Note, target: Path) -> None:
        claim, persistent = volume.get("claim"), volume.get("persistentVolume")
        if claim is None or persistent is None or volume.get("readOnly"):
            return
        if not expansion.is_due(claim, persistent):
            return
        staging = str(self._places.staging(note)) if await client.can(STAGE) else ""
        try:
            await expansion.expand(
                client,
                self._host,
                volume,
                note.handle,
                path=str(target),
                staging=staging,
                capability=await self._capability(pod, volume, client),
                secrets=await self._secret(pod, volume, "nodeExpandSecretRef"),
            )
        except PluginError as error:
            # The volume is there, only not yet larger: the pod goes on with what it has.
            raise VolumeError(
                f'NodeExpandVolume.NodeExpandVolume failed for volume "{volume["name"]}" : {error}', "resize"
            ) from error
        text = f'MountVolume.NodeExpandVolume succeeded for volume "{volume["name"]}" {self._node}'
        self._recorder.event(pod, "Normal", "FileSystemResizeSuccessful", text)
        self._recorder.event(claim, "Normal", "FileSystemResizeSuccessful", text)

    # -- down ------------------------------------------------------------------------------------------------------

    async def tear_down(self, directory: Path) -> None:
        note = places.read(directory / NOTE)
        if note is None:
            mounts.unmount_below(str(directory))
            places.remove(directory / "mount", directory / "device", directory)
            return
        async with self._locks[note.driver, note.handle]:
            await self._unpublish(directory, note)
            await self._let_go(note)

    async def _unpublish(self, directory: Path, note: Note) -> None:
        client = self._client_for_removal(note, "UnmountVolume.TearDown")
        pod_uid = directory.parent.parent.parent.name
        target = self._places.device(note, pod_uid) if note.block else directory / "mount"
        try:
            await client.unpublish(note.handle, str(target))
        except PluginError as error:
            text = f"kubernetes.io/csi: Unmounter.TearDownAt failed: {error}"
            raise VolumeError(text, "UnmountVolume.TearDown") from error
        self._forget_publication(directory, target)

    def _forget_publication(self, directory: Path, target: Path) -> None:
        self._published.discard(str(directory))
        self._owned.discard(str(directory))
        if not mounts.is_mount_point(str(target)):
            places.remove(directory / "device", target, directory / NOTE, directory)

    async def _let_go(self, note: Note) -> None:
        """After the last pod: unstage, then let the volume be detached."""
        if any(
            (other.driver, other.handle) == (note.driver, note.handle) for other in self._places.published()
        ):
            return
        staged = self._places.staged_note(note)
        if staged.exists():
            client, place = self._client_for_removal(note, "UnmountDevice"), self._places.staging(note)
            try:
                if await client.can(STAGE):
                    await client.unstage(note.handle, str(place))
            except PluginError as error:
                raise VolumeError(str(error), "UnmountDevice") from error
            self._staged.discard(place)
            places.remove(place, staged, staged.parent)
        if note.attachment:
            self._in_use_changed()

    def _client_for_removal(self, note: Note, operation: str) -> NodeClient:
        try:
            return self._drivers.get(note.driver)
        except UnknownDriver as error:
            text = f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: {error}"
            raise VolumeError(text, operation) from error

    def forget(self, pod_uid: str) -> None:
        for name, pods in list(self._wanted.items()):
            pods.discard(pod_uid)
            if not pods:
                del self._wanted[name]
                self._in_use_changed()

    async def clear(self) -> None:
        """Unstage what was staged for pods that never came, or went while nobody was looking."""
        for note in list(self._places.staged()):
            lock = self._locks[note.driver, note.handle]
            if lock.locked():
                continue  # a pod is just getting it
            async with lock:
                try:
                    await self._let_go(note)
                except VolumeError as error:
                    log.info("%s of %s failed: %s", error.operation, note.handle, error)

    # -- usage -----------------------------------------------------------------------------------------------------

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        try:
            client = self._drivers.get(volume["csi"]["driver"])
            if not mounted.path or not await client.can(STATS):
                return None
            answer = await client.stats(requests.handle_of(pod, volume), mounted.path, "")
        except (UnknownDriver, PluginError) as error:
            log.debug("usage of volume %s not known: %s", volume["name"], error)
            return None
        if answer is None:
            return None
        found: Object = {}
        for one in answer.usage:
            names = ("availableBytes", "capacityBytes", "usedBytes")
            if one.unit != BYTES:
                names = ("inodesFree", "inodes", "inodesUsed")
            found |= dict(zip(names, (one.available, one.total, one.used), strict=True))
        if await client.can(CONDITION) and answer.HasField("volume_condition"):
            found["volumeHealthStats"] = {"abnormal": answer.volume_condition.abnormal}
        return found
