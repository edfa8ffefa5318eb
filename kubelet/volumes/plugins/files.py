"""configMap, secret, downwardAPI and projected volumes: files written atomically and kept up to date."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import fields
from kubarium.apimachinery.object import Object, namespace_of, spec_of, status_of
from kubelet.volumes import atomic_writer, measure, mounts, ownership
from kubelet.volumes.atomic_writer import Payload
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError, VolumeHost

DEFAULT_MODE = 0o644
Files = dict[str, Payload]


class FileVolume(Plugin):
    """The work that the four kinds share: collect the files, write them, give them to the fsGroup."""

    name = ""
    key = ""

    def __init__(self, host: VolumeHost) -> None:
        self._host = host

    def supports(self, volume: Object) -> bool:
        """A volume is of this kind when it has this key."""
        return volume.get(self.key) is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        """Write what has changed."""
        files = await self.files(pod, volume[self.key])
        group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
        try:
            if not directory.exists():
                directory.mkdir(parents=True)
                directory.chmod(0o777)
                if self.on_tmpfs:
                    mounts.mount_in_memory(str(directory))
            changed = atomic_writer.write(directory, files)
            if changed and group is not None:
                ownership.set_ownership(str(directory), group, read_only=True)
        except (OSError, ValueError) as error:
            raise VolumeError(str(error)) from error
        return Mounted(str(directory), read_only=True)

    on_tmpfs = False
    """Secrets must not reach a disk."""

    async def files(self, pod: Object, source: Object) -> Files:
        """What the volume holds."""
        raise NotImplementedError

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        """What its files take."""
        return await measure.of_directory(mounted.path)

    async def tear_down(self, directory: Path) -> None:
        """Remove the files."""
        mounts.unmount_below(str(directory))
        shutil.rmtree(directory, ignore_errors=True)

    async def config_map(self, pod: Object, name: str, source: Object, mode: int) -> Files:
        """Keys of a ConfigMap."""
        found = await self._host.fetch("ConfigMap", namespace_of(pod), name)
        if found is None:
            if source.get("optional"):
                return {}
            raise VolumeError(f'configmap "{name}" not found')
        data = {key: text.encode() for key, text in (found.get("data") or {}).items()}
        data |= {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}
        return _choose(data, source, mode, "configmap references non-existent config key")

    async def secret(self, pod: Object, name: str, source: Object, mode: int) -> Files:
        """Keys of a Secret."""
        found = await self._host.fetch("Secret", namespace_of(pod), name)
        if found is None:
            if source.get("optional"):
                return {}
            raise VolumeError(f'secret "{name}" not found')
        data = {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
        return _choose(data, source, mode, "references non-existent secret key")

    def downward(self, pod: Object, source: Object, mode: int) -> Files:
        """Fields of the pod."""
        files: Files = {}
        pod_ips = [entry["ip"] for entry in status_of(pod).get("podIPs") or []]
        for item in source.get("items") or []:
            try:
                if item.get("fieldRef"):
                    text = fields.field_value(
                        pod, item["fieldRef"]["fieldPath"], host_ips=self._host.host_ips(), pod_ips=pod_ips
                    )
                else:
                    reference = item["resourceFieldRef"]
                    container = pod_containers.find(pod, reference.get("containerName") or "")
                    if container is None:
                        raise VolumeError(f"container {reference.get('containerName')} not found")
                    text = fields.resource_value(pod, container, reference, self._host.allocatable())
            except fields.UnknownField as error:
                raise VolumeError(str(error)) from error
            files[item["path"]] = Payload(text.encode(), item.get("mode") or mode)
        return files


def _choose(data: dict[str, bytes], source: Object, mode: int, complaint: str) -> Files:
    """All keys, or the chosen ones at their paths."""
    if not source.get("items"):
        return {key: Payload(content, mode) for key, content in data.items()}
    files: Files = {}
    for item in source["items"]:
        content = data.get(item["key"])
        if content is None:
            if source.get("optional"):
                continue
            raise VolumeError(f"{complaint}: {item['key']}")
        item_mode = item.get("mode")
        files[item["path"]] = Payload(content, mode if item_mode is None else item_mode)
    return files


def _mode_of(source: Object) -> int:
    mode = source.get("defaultMode")
    return DEFAULT_MODE if mode is None else int(mode)


class ConfigMapVolume(FileVolume):
    """`configMap: {name, items, defaultMode, optional}`."""

    name, key = "configmap", "configMap"

    async def files(self, pod: Object, source: Object) -> Files:
        return await self.config_map(pod, source.get("name") or "", source, _mode_of(source))


class SecretVolume(FileVolume):
    """`secret: {secretName, items, defaultMode, optional}`."""

    name, key = "secret", "secret"
    on_tmpfs = True

    async def files(self, pod: Object, source: Object) -> Files:
        return await self.secret(pod, source.get("secretName") or "", source, _mode_of(source))


class DownwardVolume(FileVolume):
    """`downwardAPI: {items, defaultMode}`."""

    name, key = "downward-api", "downwardAPI"

    async def files(self, pod: Object, source: Object) -> Files:
        return self.downward(pod, source, _mode_of(source))


class ProjectedVolume(FileVolume):
    """`projected: {sources, defaultMode}`: several of the above and service-account tokens in one directory."""

    name, key = "projected", "projected"
    on_tmpfs = True

    async def files(self, pod: Object, source: Object) -> Files:
        mode = _mode_of(source)
        files: Files = {}
        for part in source.get("sources") or []:
            if part.get("configMap"):
                files |= await self.config_map(
                    pod, part["configMap"].get("name") or "", part["configMap"], mode
                )
            elif part.get("secret"):
                files |= await self.secret(pod, part["secret"].get("name") or "", part["secret"], mode)
            elif part.get("downwardAPI"):
                files |= self.downward(pod, part["downwardAPI"], mode)
            elif part.get("serviceAccountToken"):
                files |= await self._token(pod, part["serviceAccountToken"], mode)
        return files

    async def _token(self, pod: Object, source: Object, mode: int) -> Files:
        seconds = source.get("expirationSeconds") or 3600
        token = await self._host.token(pod, source.get("audience") or "", int(seconds))
        user = _only_user(pod)
        if user is not None or (spec_of(pod).get("securityContext") or {}).get("fsGroup") is not None:
            mode = 0o600  # the group's right to read is added with the group
        return {source["path"]: Payload(token.encode(), mode, user)}


def _only_user(pod: Object) -> int | None:
    """The user of all containers, if it is one and the same."""
    common = (spec_of(pod).get("securityContext") or {}).get("runAsUser")
    users = {
        (one.get("securityContext") or {}).get("runAsUser", common)
        for one in pod_containers.all_containers(pod)
    }
    return users.pop() if len(users) == 1 else None
