"""Credential provider plugins, as real programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.images import providers
from kubelet.images.providers import ProviderError, Providers
from tests.unit.kubelet.making import make_container, make_pod

PLUGIN = """#!/bin/sh
echo asked >> {folder}/asked
cat > {folder}/request
cat <<END
{{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
  "cacheKeyType": "{kind}", "cacheDuration": "1m", "auth": {{"r.io": {{"username": "$WHO", "password": "$1"}}}}}}
END
"""


def write(folder: Path, kind: str = "Registry", **extra: Any) -> Path:
    (folder / "plugin").write_text(PLUGIN.format(folder=folder, kind=kind))
    (folder / "plugin").chmod(0o755)
    one = {
        "name": "plugin",
        "matchImages": ["*.io"],
        "defaultCacheDuration": "0s",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "args": ["word"],
        "env": [{"name": "WHO", "value": "robot"}],
        **extra,
    }
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [one],
    }
    file = folder / "providers.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def make(folder: Path, clock: FakeClock, **extra: Any) -> Providers:
    async def token(pod: Object, audience: str, seconds: int) -> str:
        return f"token for {audience}"

    async def account(namespace: str, name: str) -> Object | None:
        metadata = {"uid": f"uid-{name}", "name": name, "annotations": {"a": "1", "b": "2"}}
        return {"metadata": metadata}

    return Providers(providers.read(write(folder, **extra)), folder, clock, token, account)


POD = make_pod(make_container(), serviceAccountName="robot")


async def test_a_plugin_knows_the_login(tmp_path: Path, clock: FakeClock) -> None:
    asked = make(tmp_path, clock)
    (found,) = await asked.logins(POD, "r.io/a:1")
    assert (found.credentials.username, found.credentials.password) == ("robot", "word")
    assert found.source.account is None
    request = (tmp_path / "request").read_text()
    assert '"image":"r.io/a:1"' in request and "CredentialProviderRequest" in request
    assert await asked.logins(POD, "r.io/b:1") == [found], "the answer holds for the registry"
    assert await asked.logins(POD, "other.org/b:1") == []
    assert (tmp_path / "asked").read_text() == "asked\n"
    await clock.advance(61)
    await asked.logins(POD, "r.io/b:1")
    assert (tmp_path / "asked").read_text() == "asked\n" * 2


async def test_a_plugin_may_act_for_the_pods_account(tmp_path: Path, clock: FakeClock) -> None:
    wanted = {
        "serviceAccountTokenAudience": "registry",
        "requireServiceAccount": True,
        "requiredServiceAccountAnnotationKeys": ["a"],
    }
    (found,) = await make(tmp_path, clock, tokenAttributes=wanted).logins(POD, "r.io/a:1")
    assert found.source.account == ("uid-robot", "default", "robot")
    request = (tmp_path / "request").read_text()
    assert '"serviceAccountToken":"token for registry"' in request
    assert '"serviceAccountAnnotations":{"a":"1"}' in request
    wanted["requiredServiceAccountAnnotationKeys"] = ["missing"]
    assert await make(tmp_path, clock, tokenAttributes=wanted).logins(POD, "r.io/a:1") == []


async def test_a_broken_plugin_is_as_if_it_were_not_there(tmp_path: Path, clock: FakeClock) -> None:
    asked = make(tmp_path, clock)
    (tmp_path / "plugin").write_text("#!/bin/sh\necho no >&2; exit 1\n")
    assert await asked.logins(POD, "r.io/a:1") == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"matchImages": []}, "at least 1 item in matchImages is required"),
        ({"apiVersion": "v0"}, "unsupported apiVersion"),
        ({"name": "a/b"}, "is invalid"),
        ({"defaultCacheDuration": None}, "defaultCacheDuration is required"),
    ],
)
def test_what_cannot_be(tmp_path: Path, extra: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderError, match=words):
        providers.read(write(tmp_path, **extra))
