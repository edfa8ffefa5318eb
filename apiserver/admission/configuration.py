"""What `--admission-control-config-file` says to the plugins.

    apiVersion: apiserver.config.k8s.io/v1
    kind: AdmissionConfiguration
    plugins:
    - name: PodSecurity
      configuration: {...}        or     path: pod-security.yaml (relative to this file)

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#AdmissionConfiguration
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from apiserver import configuration
from apiserver.configuration import ConfigurationError, Shape
from kubarium.apimachinery.object import Object

KIND = "AdmissionConfiguration"
VERSIONS = (f"{configuration.GROUP}/v1", "apiserver.k8s.io/v1alpha1")
_SHAPE = {"plugins": [{"name": None, "path": None, "configuration": None}]}

TYPED: Mapping[str, tuple[str, Sequence[str], Shape]] = {
    "PodSecurity": (
        "PodSecurityConfiguration",
        tuple(f"pod-security.admission.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1")),
        {
            "defaults": dict.fromkeys(
                ("enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version")
            ),
            "exemptions": dict.fromkeys(("usernames", "runtimeClasses", "namespaces")),
        },
    ),
    "EventRateLimit": (
        "Configuration",
        ("eventratelimit.admission.k8s.io/v1alpha1",),
        {"limits": [dict.fromkeys(("type", "qps", "burst", "cacheSize"))]},
    ),
    "PodTolerationRestriction": (
        "Configuration",
        ("podtolerationrestriction.admission.k8s.io/v1alpha1",),
        {"default": None, "whitelist": None},
    ),
    "ResourceQuota": (
        "ResourceQuotaConfiguration",
        (f"{configuration.GROUP}/v1",),
        {"limitedResources": [dict.fromkeys(("apiGroup", "resource", "matchContains", "matchScopes"))]},
    ),
    **dict.fromkeys(
        ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"),
        (
            "WebhookAdmissionConfiguration",
            (f"{configuration.GROUP}/v1", f"{configuration.GROUP}/v1alpha1"),
            {"kubeConfigFile": None},
        ),
    ),
}
"""Kind, versions and shape of the configurations that have a kind; the others are YAML of any form."""


def load(path: str) -> dict[str, Object]:
    """Configuration by plugin. Raises ConfigurationError."""
    if not path:
        return {}
    document = configuration.load(path, KIND, VERSIONS, _SHAPE)
    found: dict[str, Object] = {}
    for plugin in document.get("plugins") or []:
        name = plugin.get("name") or ""
        if name in found:
            raise ConfigurationError(f"{path}: plugins: more than one entry for {name}")
        found[name] = _checked(name, _content(plugin, Path(path).parent))
    return found


def _content(plugin: Object, folder: Path) -> str:
    if plugin.get("configuration") is not None:
        return str(yaml.safe_dump(plugin["configuration"]))
    if not plugin.get("path"):
        return ""
    file: Path = folder / plugin["path"]
    try:
        return file.read_text()
    except OSError as error:
        raise ConfigurationError(f"{KIND}: open {file}: {error.strerror}") from None


def _checked(name: str, text: str) -> Object:
    if not text.strip():
        return {}
    if name in TYPED:
        return configuration.decode(text, *TYPED[name])
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{name}: an object is expected")
    return found
