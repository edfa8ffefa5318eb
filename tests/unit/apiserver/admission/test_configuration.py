"""Which plugins there are, and what the configuration file may say to them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from apiserver.admission import chain, configuration
from apiserver.admission.plugins.event_rate_limit import Bucket, EventRateLimit
from apiserver.admission.plugins.pod_security import PodSecurity
from apiserver.admission.plugins.pod_toleration_restriction import conflicting, covers, merged
from apiserver.admission.webhook_client import credentials_for
from apiserver.configuration import ConfigurationError
from kubarium.client.kubeconfig import ClientConfig
from kubarium.component_base.clock import FakeClock

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}


def load(folder: Path, *plugins: object) -> object:
    path = folder / "admission.yaml"
    path.write_text(yaml.safe_dump({**HEAD, "plugins": list(plugins)}))
    return configuration.load(str(path))


def test_a_configuration_stands_in_the_file_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.yaml").write_text("imagePolicy: {defaultAllow: true}")
    found = load(
        tmp_path,
        {"name": "ImagePolicyWebhook", "path": "beside.yaml"},
        {"name": "PodNodeSelector", "configuration": {"podNodeSelectorPluginConfig": {"n": "a=b"}}},
    )
    assert found == {
        "ImagePolicyWebhook": {"imagePolicy": {"defaultAllow": True}},
        "PodNodeSelector": {"podNodeSelectorPluginConfig": {"n": "a=b"}},
    }


def test_what_is_refused(tmp_path: Path) -> None:
    wrong = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "x": 1,
    }
    with pytest.raises(ConfigurationError, match='unknown field "x"'):
        load(tmp_path, {"name": "PodSecurity", "configuration": wrong})
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path, {"name": "PodSecurity", "path": "nowhere"})
    with pytest.raises(ConfigurationError, match=r"limits\[0\]\.qps: Invalid value: 0: must be positive"):
        EventRateLimit(FakeClock(), {"limits": [{"type": "Server", "burst": 1}]})
    with pytest.raises(ConfigurationError, match=r"defaults\.warn: Invalid value"):
        PodSecurity(None, None, {"defaults": {"warn": "strict"}})  # type: ignore[arg-type]


def test_unknown_and_contradictory_plugins_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='enable-admission-plugins plugin "Nobody" is unknown'):
        chain.build(None, ["Nobody"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="overlapped"):
        chain.build(None, ["Priority"], ["Priority"])  # type: ignore[arg-type]


def test_a_bucket_fills_with_time() -> None:
    bucket = Bucket(1, 2, 0.0)
    assert [bucket.take(when) for when in (0.0, 0.0, 0.5, 1.6)] == [True, True, False, True]


def test_tolerations() -> None:
    anything = {"operator": "Exists"}
    plain, patient = {"key": "a", "value": "b"}, {"key": "a", "value": "b", "tolerationSeconds": 5}
    assert covers(anything, plain)
    assert covers(plain, patient)
    assert not covers(patient, plain)
    assert conflicting([plain], [patient])
    assert merged([plain], [patient, anything]) == [anything]


def test_credentials_go_by_the_most_exact_name() -> None:
    known = dict.fromkeys(("*", "*.ns.svc", "hook.ns.svc"), ClientConfig("https://"))
    assert credentials_for("hook.ns.svc", known) == "hook.ns.svc"
    assert credentials_for("other.ns.svc", known) == "*.ns.svc"
    assert credentials_for("example.com:443", known) == "*"
    assert credentials_for("example.com", {}) == ""
