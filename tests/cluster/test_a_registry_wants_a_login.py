"""Images from a registry of Debian's that wants to know who asks: logins, digests, and whose an image then is."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubarium.cluster import images
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, pod

pytestmark = pytest.mark.cluster

NODE = "node-1"
USER, PASSWORD = "puller", "s3cret"  # nobody else's
HTPASSWD = "puller:$2b$05$LjXcQ4yCLRKeuLYFMAWPxuB3vIljHoFSB1TnkrLMJNjagGsIRa4ZO"
CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry/data}}
http: {addr: "0.0.0.0:5000"}
auth: {htpasswd: {realm: here, path: /tmp/registry/htpasswd}}
"""


class Registry:
    """Speaks to the registry as `docker push` does."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, auth=(USER, PASSWORD), timeout=120)

    def is_up(self) -> bool:
        try:
            return self._client.get("/v2/").status_code == 200
        except httpx.TransportError:
            return False

    def push(self, archive: Path, name: str, tag: str) -> str:
        """Push an image archive; returns the digest of its manifest."""
        with tarfile.open(archive) as tar:
            (manifest,) = json.loads(self._read(tar, "manifest.json"))
            config = self._blob(name, self._read(tar, manifest["Config"]))
            layers = [self._blob(name, self._read(tar, layer)) for layer in manifest["Layers"]]
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **config},
            "layers": [
                {"mediaType": "application/vnd.docker.image.rootfs.diff.tar", **one} for one in layers
            ],
        }
        answer = self._client.put(
            f"/v2/{name}/manifests/{tag}", content=json.dumps(document), headers={"content-type": kind}
        )
        answer.raise_for_status()
        return answer.headers["docker-content-digest"]

    @staticmethod
    def _read(tar: tarfile.TarFile, name: str) -> bytes:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()

    def _blob(self, name: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = self._client.post(f"/v2/{name}/blobs/uploads/").headers["location"]
        self._client.put(
            httpx.URL(place).copy_merge_params({"digest": digest}), content=data
        ).raise_for_status()
        return {"size": len(data), "digest": digest}

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def digest(stories: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on one node with one image."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs docker-registry")
    script = f"""mkdir -p /tmp/registry; cd /tmp/registry
printf '%s\\n' '{HTPASSWD}' > htpasswd; cat > config.yml <<'END'{CONFIG}END
setsid docker-registry serve config.yml > log 2>&1 < /dev/null & echo $!"""
    pid = stories.on_node(NODE, "sh", "-c", script).strip()
    addresses = stories.get("node", NODE)["status"]["addresses"]
    registry = Registry(f"http://{addresses[0]['address']}:5000")
    try:
        until(registry.is_up, what="registry")
        layer = images.base_layer()
        busybox = images.busybox_path()
        images.busybox_layer(busybox, ["sh", "sleep", "echo"], layer)
        archive = images.pack(
            [layer.data()],
            images.Config(cmd=["sleep", "1000"]),
            ["x:1"],
            tmp_path_factory.mktemp("i") / "a.tar",
        )
        yield registry.push(archive, "app", "1")
    finally:
        registry.close()
        stories.on_node(NODE, "kill", pid, check=False)


def secret(name: str, password: str = PASSWORD) -> Any:
    auth = {"username": USER, "password": password}
    data = json.dumps({"auths": {"localhost:5000": auth}}).encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(data).decode()},
    }


def old_secret(name: str) -> Any:
    data = json.dumps({"localhost:5000": {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockercfg",
        "data": {".dockercfg": base64.b64encode(data.encode()).decode()},
    }


def app(name: str, image: str = "localhost:5000/app:1", policy: str = "", **spec: Any) -> Any:
    made = pod(name, "sleep", "1000", nodeName=NODE, **spec)
    made["spec"]["containers"][0] |= {"image": image, "imagePullPolicy": policy or "IfNotPresent"}
    return made


def with_files(name: str, **spec: Any) -> Any:
    """A pod that wants the files of the image, which it pulls each time, and not the image itself."""
    source = {"reference": "localhost:5000/app:1", "pullPolicy": "Always"}
    made = app(name, BUSYBOX, volumes=[{"name": "files", "image": source}], **spec)
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "files", "mountPath": "/files"}]
    return made


def waiting(stories: Shell, name: str, namespace: str) -> Any:
    status = stories.get("pod", name, "-n", namespace)["status"]
    return (status.get("containerStatuses") or [{}])[0].get("state", {}).get("waiting") or {}


def refused(stories: Shell, name: str, namespace: str) -> Any:
    reasons = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull")
    return until(lambda: (found := waiting(stories, name, namespace)).get("reason") in reasons and found)


def test_who_may_pull_and_whose_the_image_is(stories: Shell, namespace: str, digest: str) -> None:
    stories.apply(secret("good"), secret("bad", "wrong"), old_secret("old"), namespace=namespace)
    stories.apply(
        app("nobody"),
        app("wrong", imagePullSecrets=[{"name": "bad"}]),
        app("absent", policy="Never"),
        namespace=namespace,
    )
    for name in ("nobody", "wrong"):
        assert refused(stories, name, namespace)["reason"] != "ErrImageNeverPull"
    assert refused(stories, "absent", namespace)["reason"] == "ErrImageNeverPull"

    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "puller"}}
    stories.apply({**account, "imagePullSecrets": [{"name": "good"}]}, namespace=namespace)
    by_digest = f"localhost:5000/app@{digest}"
    stories.apply(
        app("account", serviceAccountName="puller"),
        app("both", imagePullSecrets=[{"name": "bad"}, {"name": "old"}]),
        app("exact", by_digest, imagePullSecrets=[{"name": "old"}]),
        with_files("files", imagePullSecrets=[{"name": "good"}]),
        with_files("no-files"),
        namespace=namespace,
    )
    for name in ("account", "both", "exact", "files"):
        stories.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    status = stories.get("pod", "exact", "-n", namespace)["status"]["containerStatuses"][0]
    assert digest in status["imageID"]
    found = stories.kubectl("exec", "files", "-n", namespace, "--", "ls", "/files/bin/busybox")
    assert found == "/files/bin/busybox\n"
    assert refused(stories, "no-files", namespace)["reason"] != "ErrImageNeverPull"

    # The image is there now, but only for those who could pull it.
    stories.apply(app("later"), app("never", policy="Never"), namespace=namespace)
    refused(stories, "later", namespace)
    assert refused(stories, "never", namespace)["reason"] == "ErrImageNeverPull"

    def is_told() -> bool:
        found = stories.kubectl("get", "events", "-n", namespace).splitlines()
        told = [one for one in found if "pod/both" in one]
        return any("Successfully pulled image" in one or "already present" in one for one in told)

    until(is_told, what="the event of a pull")
