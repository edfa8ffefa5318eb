"""What an EncryptionConfiguration may say, and in which words it is refused."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.configuration import ConfigurationError
from apiserver.storage.encryption import configuration
from apiserver.storage.encryption.transformers import Transformers, build
from kubarium.component_base.clock import FakeClock

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
IDENTITY: dict[str, Any] = {"identity": {}}


def key(name: str = "key1", size: int = 32) -> dict[str, str]:
    return {"name": name, "secret": base64.b64encode(b"s" * size).decode()}


def aes(kind: str = "aescbc", *keys: dict[str, str]) -> dict[str, Any]:
    return {kind: {"keys": list(keys) or [key()]}}


def kms(**changes: Any) -> dict[str, Any]:
    return {"kms": {"apiVersion": "v2", "name": "one", "endpoint": "unix:///tmp/kms.sock", **changes}}


def rule(resources: list[str], *providers: dict[str, Any]) -> dict[str, Any]:
    return {"resources": resources, "providers": list(providers) or [IDENTITY]}


def read(*rules: dict[str, Any]) -> list[configuration.Rule]:
    return configuration.read({**HEAD, "resources": list(rules)})


def built(*rules: dict[str, Any]) -> Transformers:
    return build(read(*rules), "server", FakeClock())


def test_the_most_exact_rule_counts() -> None:
    found = built(
        rule(["secrets", "deployments.apps"], aes("aescbc")),
        rule(["*."], aes("aesgcm")),
        rule(["*.apps"], aes("secretbox")),
        rule(["*.*"], IDENTITY),
    )

    def prefix(group: str, resource: str) -> str:
        choice = found.of(group, resource)
        assert choice is not None
        return choice.seal(b"value", b"/at").split(b":key1:")[0].decode()

    assert prefix("", "secrets") == "k8s:enc:aescbc:v1"
    assert prefix("", "configmaps") == "k8s:enc:aesgcm:v1"
    assert prefix("apps", "deployments") == "k8s:enc:aescbc:v1"
    assert prefix("apps", "daemonsets") == "k8s:enc:secretbox:v1"
    assert prefix("example.com", "widgets") == "value"
    assert built(rule(["secrets"])).of("", "pods") is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "resources: Required value: at least one resources is required"),
        ([rule([])], "resources[0].resources: Required value: at least one resources[0].resources is required"),
        (
            [{"resources": ["secrets"]}],
            "resources[0].providers: Required value: at least one resources[0].providers is required",
        ),
        (
            [rule(["secrets"], aes("aescbc", key(size=7)))],
            'resources[0].providers[0].aescbc.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected '
            "length, got 7, expected one of [16 24 32]",
        ),
        (
            [rule(["secrets"], aes("secretbox", key(size=16)))],
            'resources[0].providers[0].secretbox.keys[0].secret: Invalid value: "REDACTED": secret is not of the '
            "expected length, got 16, expected one of [32]",
        ),
        (
            [rule(["secrets"], aes("aesgcm", {"name": "", "secret": "!"}))],
            "[resources[0].providers[0].aesgcm.keys[0].name: Required value: name is a mandatory field for a key, "
            'resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 '
            "encoded]",
        ),
        (
            [rule(["secrets", "*."])],
            'resources[0].resources: Invalid value: ["secrets","*."]: using overlapping resources such as \'secrets\' '
            "and '*.' in the same resource list is not allowed as they will be masked",
        ),
        (
            [rule(["*"])],
            'resources[0].resources[0]: Invalid value: "*": use \'*.\' to encrypt all the resources from core API '
            "group or *.* to encrypt all resources",
        ),
        (
            [rule(["secrets"], kms(), kms())],
            'resources[0].providers[1].kms.name: Invalid value: "one": duplicate KMS provider name one, names must be '
            "unique",
        ),
        (
            [rule(["secrets"], kms(endpoint="http://a", cachesize=5, timeout="0s"))],
            '[resources[0].providers[0].kms.timeout: Invalid value: "0s": timeout should be a positive value, '
            'resources[0].providers[0].kms.endpoint: Invalid value: "http://a": unsupported scheme "http" for KMS '
            "provider, only unix is supported, resources[0].providers[0].kms.cachesize: Invalid value: 5: cachesize is "
            "not supported in v2]",
        ),
        (
            [rule(["secrets"], {"identity": {}, **aes("aescbc")})],
            'resources[0].providers[0]: Invalid value: {"AESGCM":null,"AESCBC":{"Keys":[{"Name":"key1","Secret":'
            '"REDACTED"}]},"Secretbox":null,"Identity":{},"KMS":null}: more than one provider specified in a single '
            "element, should split into different list elements",
        ),
        (
            [rule(["*."]), rule(["secrets"])],
            'error while building transformers: resource "secrets" is masked by earlier rule "*."',
        ),
        (
            [rule(["secrets"], kms(apiVersion="v1"))],
            "error while building transformers: KMSv1 is deprecated and will only receive security updates going "
            "forward. Use KMSv2 instead.  Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_upstreams_words(given: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        built(*given)


def test_a_file_says_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "encryption.yaml"
    with pytest.raises(
        ConfigurationError, match=r"error while parsing file: error while loading file: error reading"
    ):
        configuration.load(str(file))
    former = {"apiVersion": "v1", "kind": "EncryptionConfig", "resources": [rule(["secrets"])]}
    file.write_text(yaml.safe_dump(former))
    assert [one.resources for one in configuration.load(str(file))] == [("secrets",)]
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r'configuration file ".*" is empty'):
        configuration.load(str(file))
    file.write_text(yaml.safe_dump({**HEAD, "resources": [rule(["secrets"], {"aescdc": {}})]}))
    with pytest.raises(ConfigurationError, match=r'unknown field "resources\[0\].providers\[0\].aescdc"'):
        configuration.load(str(file))
