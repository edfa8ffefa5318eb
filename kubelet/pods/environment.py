"""What a container finds around it: environment variables, host name, hosts file.

Order of precedence, lowest first: service links, `envFrom`, `env`. The order in which variables are listed is kept.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import fields
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of
from kubelet.runtime.container import expand
from kubelet.runtime.interface import StartError

CONFIG_ERROR = "CreateContainerConfigError"
HOSTS_HEADER = "# Kubernetes-managed hosts file.\n"
HOST_NETWORK_HEADER = "# Kubernetes-managed hosts file (host network).\n"

_VARIABLE = re.compile(r"^[^=\0]+$")


Fetch = Callable[[str, str, str], Awaitable[Object | None]]
"""`fetch(kind, namespace, name)`: a ConfigMap or Secret, or None when it does not exist."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment of a container is made from, besides the pod."""

    host_ips: Sequence[str]
    pod_ips: Sequence[str]
    allocatable: Mapping[str, Any]
    services: Iterable[Object]
    read_file: Callable[[str, str], str] = lambda volume, path: ""


async def environment(
    pod: Object, container: Object, around: Surroundings, fetch: Fetch
) -> list[tuple[str, str]]:
    """All variables of one container. Raises StartError when something that is needed is missing."""
    links = service_variables(
        around.services, namespace_of(pod), spec_of(pod).get("enableServiceLinks") is not False
    )
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        found |= await _from_source(pod, source, fetch)
    known = dict(links)
    known |= found
    for variable in container.get("env") or []:
        value = await _value_of(pod, container, variable, known, around, fetch)
        if value is None:
            continue
        known[variable["name"]] = found[variable["name"]] = value
    for name, value in links.items():
        found.setdefault(name, value)
    return list(found.items())


async def _from_source(pod: Object, source: Object, fetch: Fetch) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, kind, noun in (("configMapRef", "ConfigMap", "configmap"), ("secretRef", "Secret", "secret")):
        reference = source.get(field)
        if not reference:
            continue
        found = await fetch(kind, namespace_of(pod), reference.get("name") or "")
        if found is None:
            if reference.get("optional"):
                return {}
            raise StartError(CONFIG_ERROR, f'{noun} "{reference.get("name")}" not found')
        texts = fields_text(found)
        return {prefix + key: value for key, value in texts.items() if _VARIABLE.match(prefix + key)}
    return {}


def fields_text(found: Object) -> dict[str, str]:
    """The data of a ConfigMap or Secret as text."""
    if found.get("kind") == "Secret":
        return {
            key: base64.b64decode(value).decode(errors="replace")
            for key, value in (found.get("data") or {}).items()
        }
    return dict(found.get("data") or {})


async def _value_of(
    pod: Object,
    container: Object,
    variable: Object,
    known: dict[str, str],
    around: Surroundings,
    fetch: Fetch,
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value") or "", known)
    if "fieldRef" in source:
        try:
            return fields.field_value(
                pod, source["fieldRef"]["fieldPath"], host_ips=around.host_ips, pod_ips=around.pod_ips
            )
        except fields.UnknownField as error:
            raise StartError(CONFIG_ERROR, str(error)) from error
    if "resourceFieldRef" in source:
        return _resource_value(pod, container, source["resourceFieldRef"], around)
    if "fileKeyRef" in source:
        return _file_value(source["fileKeyRef"], around)
    for field, kind, noun in (
        ("configMapKeyRef", "ConfigMap", "configmap"),
        ("secretKeyRef", "Secret", "secret"),
    ):
        if field in source:
            return await _key_value(pod, source[field], kind, noun, fetch)
    return None


def _resource_value(pod: Object, container: Object, reference: Object, around: Surroundings) -> str:
    named = reference.get("containerName")
    target = pod_containers.find(pod, named) if named else container
    try:
        return fields.resource_value(pod, target or container, reference, around.allocatable)
    except fields.UnknownField as error:
        raise StartError(CONFIG_ERROR, str(error)) from error


def _file_value(reference: Object, around: Surroundings) -> str | None:
    """A variable that an init container has written into a file of a volume that they share."""
    path, key = reference.get("path") or "", reference.get("key") or ""
    try:
        known = parse_env_file(around.read_file(reference.get("volumeName") or "", path))
    except FileNotFoundError:
        known = {}
        missing = f'environment variable file "{path}" not found'
    except (OSError, ValueError) as error:
        raise StartError(CONFIG_ERROR, f'couldn\'t parse env file "{path}": {error}') from error
    else:
        missing = f'environment variable key "{key}" not found in file "{path}"'
    if key in known or reference.get("optional"):
        return known.get(key)
    raise StartError(CONFIG_ERROR, missing)


_ASSIGNMENT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(?:'([^']*)'|([^'\n]*))[ \t]*(?:\n|\Z)")


def parse_env_file(text: str) -> dict[str, str]:
    """`NAME='value'` or `NAME=value`, one after another; a quoted value may go over several lines. Nothing is expanded.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-via-file/
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        line = text[position : end if end >= 0 else len(text)].strip()
        if not line or line.startswith("#"):
            position = end + 1 if end >= 0 else len(text)
            continue
        match = _ASSIGNMENT.match(text, position)
        if match is None:
            raise ValueError(f'invalid environment variable format: "{line}"')
        quoted, plain = match.group(2), match.group(3)
        found[match.group(1)] = quoted if quoted is not None else plain.strip()
        position = match.end()
    return found


async def _key_value(pod: Object, reference: Object, kind: str, noun: str, fetch: Fetch) -> str | None:
    name, key = reference.get("name") or "", reference.get("key") or ""
    found = await fetch(kind, namespace_of(pod), name)
    if found is None:
        if reference.get("optional"):
            return None
        raise StartError(CONFIG_ERROR, f'{noun} "{name}" not found')
    texts = fields_text(found)
    if key not in texts:
        if reference.get("optional"):
            return None
        raise StartError(CONFIG_ERROR, f"couldn't find key {key} in {kind} {namespace_of(pod)}/{name}")
    return texts[key]


def service_variables(services: Iterable[Object], namespace: str, links: bool) -> dict[str, str]:
    """`WEB_SERVICE_HOST`, `WEB_PORT_80_TCP_ADDR` …: of the API server always, of the namespace's services if wanted."""
    chosen: dict[str, Object] = {}
    for service in services:
        cluster_ip = spec_of(service).get("clusterIP")
        if not cluster_ip or cluster_ip == "None":
            continue
        is_master = namespace_of(service) == "default" and name_of(service) == "kubernetes"
        if links and namespace_of(service) == namespace:
            chosen[name_of(service)] = service
        elif is_master:
            chosen.setdefault(name_of(service), service)
    variables: dict[str, str] = {}
    for _, service in sorted(chosen.items()):
        variables |= _variables_of(service)
    return variables


def _variables_of(service: Object) -> dict[str, str]:
    prefix = name_of(service).upper().replace("-", "_")
    spec = spec_of(service)
    host, ports = spec["clusterIP"], spec.get("ports") or []
    if not ports:
        return {}
    variables = {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    shown = f"[{host}]" if ":" in host else host
    for index, port in enumerate(ports):
        protocol = (port.get("protocol") or "TCP").lower()
        url = f"{protocol}://{shown}:{port['port']}"
        stem = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        if index == 0:
            variables[f"{prefix}_PORT"] = url
        variables |= {
            stem: url,
            f"{stem}_PROTO": protocol,
            f"{stem}_PORT": str(port["port"]),
            f"{stem}_ADDR": host,
        }
    return variables


def hostname_and_domain(pod: Object, cluster_domain: str) -> tuple[str, str]:
    """The pod's host name (63 characters at most) and, when it has a subdomain, its domain."""
    spec = spec_of(pod)
    if spec.get("hostnameOverride"):
        return spec["hostnameOverride"], ""
    hostname = (spec.get("hostname") or name_of(pod))[:63].rstrip("-.")
    domain = ""
    if spec.get("subdomain"):
        domain = f"{spec['subdomain']}.{namespace_of(pod)}.svc.{cluster_domain}"
    return hostname, domain


def kernel_hostname(pod: Object, cluster_domain: str) -> str:
    """What `hostname` prints: the fully qualified name if the pod wants it. Raises StartError if that is too long."""
    hostname, domain = hostname_and_domain(pod, cluster_domain)
    if not (spec_of(pod).get("setHostnameAsFQDN") and domain):
        return hostname
    full = f"{hostname}.{domain}"
    if len(full) > 64:
        raise StartError(
            "FailedCreatePodSandBox",
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long",
        )
    return full


def hosts_file(pod: Object, pod_ips: Sequence[str], cluster_domain: str, node_hosts: str) -> str:
    """The text of `/etc/hosts`."""
    spec = spec_of(pod)
    if spec.get("hostNetwork"):
        text = HOST_NETWORK_HEADER + node_hosts
    else:
        hostname, domain = hostname_and_domain(pod, cluster_domain)
        names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
        text = HOSTS_HEADER + (
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::0\tip6-localnet\n"
            "fe00::0\tip6-mcastprefix\n"
            "fe00::1\tip6-allnodes\n"
            "fe00::2\tip6-allrouters\n"
        )
        text += "".join(f"{ip}\t{names}\n" for ip in pod_ips)
    aliases = spec.get("hostAliases") or []
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(
            f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or []) + "\n" for alias in aliases
        )
    return text
