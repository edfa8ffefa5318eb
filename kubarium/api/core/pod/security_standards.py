"""The Pod Security Standards: what a pod may ask of its node.

    privileged   anything
    baseline     nothing that is known to break out
    restricted   what hardening advises

A namespace may ask for the standards of an older version (`enforce-version: v1.25`): checks begin with a version, and
become other ones with later ones. Each returns upstream's words for what it forbids, or nothing.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubarium.api.core.pod.containers import all_containers
from kubarium.apimachinery.object import Object, annotations_of, spec_of

LEVELS = ("privileged", "baseline", "restricted")

Check = Callable[[Object], str]

_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)  # fmt: skip
_SYSCTLS = {
    0: ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range", "net.ipv4.tcp_syncookies"),
    27: ("net.ipv4.ip_local_reserved_ports",),
    29: ("net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
         "net.ipv4.tcp_keepalive_time"),
    32: ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}  # fmt: skip
"""Those that are safe, by the minor version from which they are."""
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t")
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
     "secret"}
)  # fmt: skip
_SECCOMP = "seccomp.security.alpha.kubernetes.io/"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


LATEST = 10_000


@dataclass(frozen=True)
class Standard:
    """One check of a level: what it is from which minor version on, and which others it makes needless."""

    id: str
    level: str
    versions: dict[int, Check]
    instead_of: str = ""

    def at(self, minor: int) -> Check | None:
        """The check as it was in a version; None if it had not begun."""
        begun = [first for first in self.versions if first <= minor]
        return self.versions[max(begun)] if begun else None


def minor_of(version: str) -> int:
    """`latest` or `v1.25` as a number."""
    return LATEST if version == "latest" else int(version.partition(".")[2])


def violations(pod: Object, level: str, version: str = "latest") -> list[str]:
    """What of the pod the level forbids, in upstream's order and words."""
    if level == "privileged":
        return []
    minor = minor_of(version)
    wanted = [one for one in STANDARDS if level == "restricted" or one.level == level]
    replaced = {one.instead_of for one in wanted if one.at(minor) is not None}
    checks = [check for one in wanted if one.id not in replaced and (check := one.at(minor)) is not None]
    return [found for check in checks if (found := check(pod))]


def _plural(noun: str, names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"{noun}s {quoted}" if len(names) > 1 else f"{noun} {quoted}"


def _context(thing: Object) -> Object:
    return thing.get("securityContext") or {}


def _containers_where(pod: Object, test: Callable[[Object], bool]) -> list[str]:
    return [container.get("name") or "" for container in all_containers(pod) if test(container)]


def _host_namespaces(pod: Object) -> str:
    fields = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec_of(pod).get(field)]
    return f"host namespaces ({', '.join(fields)})" if fields else ""


def _privileged(pod: Object) -> str:
    bad = _containers_where(pod, lambda one: bool(_context(one).get("privileged")))
    return (
        f"privileged ({_plural('container', bad)} must not set securityContext.privileged=true)"
        if bad
        else ""
    )


def _added(container: Object) -> list[str]:
    return (_context(container).get("capabilities") or {}).get("add") or []


def _capabilities_baseline(pod: Object) -> str:
    bad = _containers_where(pod, lambda one: not _CAPABILITIES.issuperset(_added(one)))
    if not bad:
        return ""
    added = {name for container in all_containers(pod) for name in _added(container)} - _CAPABILITIES
    listed = ", ".join(f'"{name}"' for name in sorted(added))
    return (f"non-default capabilities ({_plural('container', bad)} must not include {listed} in "
            "securityContext.capabilities.add)")  # fmt: skip


def _host_path_volumes(pod: Object) -> str:
    bad = [volume.get("name") or "" for volume in spec_of(pod).get("volumes") or () if volume.get("hostPath")]
    return f"hostPath volumes ({_plural('volume', bad)})" if bad else ""


def _host_ports(pod: Object) -> str:
    def used(container: Object) -> list[int]:
        return [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]

    bad = _containers_where(pod, lambda one: bool(used(one)))
    if not bad:
        return ""
    ports = sorted({str(port) for container in all_containers(pod) for port in used(container)})
    verb = "use" if len(bad) > 1 else "uses"
    noun = "hostPorts" if len(ports) > 1 else "hostPort"
    return f"hostPort ({_plural('container', bad)} {verb} {noun} {', '.join(ports)})"


def _who(pod: Object, test: Callable[[Object], bool]) -> list[str]:
    """The pod and the containers of which something is true, as a sentence names them."""
    containers = _containers_where(pod, test)
    return (["pod"] if test(spec_of(pod)) else []) + (
        [_plural("container", containers)] if containers else []
    )


def _set_to(pod: Object, value: Callable[[Object], str | None]) -> list[str]:
    """What the pod and its containers set, sorted."""
    return sorted({found for _, thing in _pod_and_containers(pod) if (found := value(thing)) is not None})


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _host_probes(pod: Object) -> str:
    def hosts(container: Object) -> set[str]:
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        found = (
            handler.get(kind) or {} for handler in handlers if handler for kind in ("httpGet", "tcpSocket")
        )
        return {action["host"] for action in found if action.get("host")}

    bad = sorted(set(_containers_where(pod, lambda one: bool(hosts(one)))))
    if not bad:
        return ""
    forbidden = sorted({host for container in all_containers(pod) for host in hosts(container)})
    verb, noun = "use" if len(bad) > 1 else "uses", _plural("probe or lifecycle host", forbidden)
    return f"probe or lifecycle host ({_plural('container', bad)} {verb} {noun})"


def _host_process(pod: Object) -> str:
    who = _who(pod, lambda one: bool((_context(one).get("windowsOptions") or {}).get("hostProcess")))
    text = "must not set securityContext.windowsOptions.hostProcess=true"
    return f"hostProcess ({' and '.join(who)} {text})" if who else ""


def _app_armor(pod: Object) -> str:
    def forbidden(thing: Object) -> str | None:
        profile = _context(thing).get("appArmorProfile")
        kind: str = (profile or {}).get("type") or ""
        return None if profile is None or kind in ("RuntimeDefault", "Localhost") else kind

    who, values = _who(pod, lambda one: forbidden(one) is not None), _set_to(pod, forbidden)
    annotations = [f'{key}="{value}"' for key, value in sorted(annotations_of(pod).items())
                   if key.startswith(_APPARMOR) and not _harmless_profile(value)]  # fmt: skip
    if annotations:
        who.append("annotations" if len(annotations) > 1 else "annotation")
        values += annotations
    noun = "profiles" if len(values) > 1 else "profile"
    text = f"{' and '.join(who)} must not set AppArmor profile type to {_quoted(values)}"
    return f"forbidden AppArmor {noun} ({text})" if who else ""


def _harmless_profile(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def _pod_and_containers(pod: Object) -> Iterable[tuple[str, Object]]:
    yield "pod", spec_of(pod)
    for container in all_containers(pod):
        yield f'container "{container.get("name")}"', container


def _se_linux(more_types: Iterable[str] = ()) -> Check:
    allowed = frozenset((*_SELINUX_TYPES, *more_types))

    def options(thing: Object) -> Object:
        return _context(thing).get("seLinuxOptions") or {}

    def bad_type(thing: Object) -> str | None:
        kind: str = options(thing).get("type") or ""
        return None if kind in allowed else kind

    def is_bad(thing: Object) -> bool:
        given = options(thing)
        return bad_type(thing) is not None or bool(given.get("user") or given.get("role"))

    def check(pod: Object) -> str:
        who, types = _who(pod, is_bad), _set_to(pod, bad_type)
        if not who:
            return ""
        found = [_plural("type", types)] if types else []
        for field in ("user", "role"):
            if any(options(thing).get(field) for _, thing in _pod_and_containers(pod)):
                found.append(f"{field} may not be set")
        text = f"set forbidden securityContext.seLinuxOptions: {'; '.join(found)}"
        return f"seLinuxOptions ({' and '.join(who)} {text})"

    return check


def _in_user_namespace(pod: Object) -> bool:
    return spec_of(pod).get("hostUsers") is False


def _unless(exempt: Callable[[Object], bool], check: Check) -> Check:
    return lambda pod: "" if exempt(pod) else check(pod)


def _is_windows(pod: Object) -> bool:
    return (spec_of(pod).get("os") or {}).get("name") == "windows"


def _proc_mount(pod: Object) -> str:
    def forbidden(thing: Object) -> str | None:
        found: str | None = _context(thing).get("procMount")
        return None if found in (None, "Default") else found

    bad = _containers_where(pod, lambda one: forbidden(one) is not None)
    text = f"must not set securityContext.procMount to {_quoted(_set_to(pod, forbidden))}"
    return f"procMount ({_plural('container', bad)} {text})" if bad else ""


def _seccomp(thing: Object) -> str | None:
    profile = _context(thing).get("seccompProfile")
    return None if profile is None else profile.get("type") or ""


def _bad_seccomp(thing: Object) -> str | None:
    kind = _seccomp(thing)
    return None if kind in (None, "RuntimeDefault", "Localhost") else kind


def _seccomp_baseline(pod: Object) -> str:
    who = _who(pod, lambda one: _bad_seccomp(one) is not None)
    values = _quoted(_set_to(pod, _bad_seccomp))
    text = f"must not set securityContext.seccompProfile.type to {values}"
    return f"seccompProfile ({' and '.join(who)} {text})" if who else ""


def _seccomp_annotations(pod: Object) -> str:
    """Before there were fields for it."""
    keys = [f"{_SECCOMP}pod", *(f"container.{_SECCOMP}{one.get('name')}" for one in all_containers(pod))]
    given = annotations_of(pod)
    bad = sorted({
        f'{key}="{given[key]}"'
        for key in keys
        if key in given
        and given[key] not in ("runtime/default", "docker/default")
        and not given[key].startswith("localhost/")
    })  # fmt: skip
    noun = "annotations" if len(bad) > 1 else "annotation"
    return f"seccompProfile (forbidden {noun} {', '.join(bad)})" if bad else ""


def _sysctls(minor: int) -> Check:
    safe = {name for first, names in _SYSCTLS.items() if first <= minor for name in names}

    def check(pod: Object) -> str:
        given = [one.get("name") or "" for one in _context(spec_of(pod)).get("sysctls") or ()]
        bad = [name for name in given if name not in safe]
        return f"forbidden sysctls ({', '.join(bad)})" if bad else ""

    return check


def _escalation(pod: Object) -> str:
    bad = _containers_where(pod, lambda one: _context(one).get("allowPrivilegeEscalation") is not False)
    text = "must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({_plural('container', bad)} {text})" if bad else ""


def _capabilities_restricted(pod: Object) -> str:
    def drops(container: Object) -> list[str]:
        return (_context(container).get("capabilities") or {}).get("drop") or []

    keeping = _containers_where(pod, lambda one: "ALL" not in drops(one))
    adding = _containers_where(pod, lambda one: bool(set(_added(one)) - {"NET_BIND_SERVICE"}))
    found = []
    if keeping:
        found.append(f'{_plural("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        names = {name for container in all_containers(pod) for name in _added(container)} - {
            "NET_BIND_SERVICE"
        }
        listed = ", ".join(f'"{name}"' for name in sorted(names))
        found.append(
            f"{_plural('container', adding)} must not include {listed} in securityContext.capabilities.add"
        )
    return f"unrestricted capabilities ({'; '.join(found)})" if found else ""


def _restricted_volumes(pod: Object) -> str:
    bad: list[tuple[str, str]] = []
    for volume in spec_of(pod).get("volumes") or ():
        kinds = [kind for kind in volume if kind != "name" and kind not in _VOLUMES]
        if kinds:
            bad.append((volume.get("name") or "", kinds[0]))
    if not bad:
        return ""
    kinds = sorted({kind for _, kind in bad})
    verb, noun = ("use", "types") if len(bad) > 1 else ("uses", "type")
    noun = "types" if len(kinds) > 1 else "type"
    listed = ", ".join(f'"{kind}"' for kind in kinds)
    names = _plural("volume", [name for name, _ in bad])
    return f"restricted volume types ({names} {verb} restricted volume {noun} {listed})"


def _run_as_non_root(pod: Object) -> str:
    who = _who(pod, lambda one: _context(one).get("runAsNonRoot") is False)
    if who:
        return f"runAsNonRoot != true ({' and '.join(who)} must not set securityContext.runAsNonRoot=false)"
    if _context(spec_of(pod)).get("runAsNonRoot"):
        return ""
    silent = _containers_where(pod, lambda one: _context(one).get("runAsNonRoot") is None)
    text = "must set securityContext.runAsNonRoot=true"
    return f"runAsNonRoot != true (pod or {_plural('container', silent)} {text})" if silent else ""


def _run_as_user(pod: Object) -> str:
    who = _who(pod, lambda one: _context(one).get("runAsUser") == 0)
    return f"runAsUser=0 ({' and '.join(who)} must not set runAsUser=0)" if who else ""


def _seccomp_restricted(pod: Object) -> str:
    if bad := _seccomp_baseline(pod):
        return bad
    if _seccomp(spec_of(pod)) is not None:
        return ""
    silent = _containers_where(pod, lambda one: _seccomp(one) is None)
    text = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile (pod or {_plural('container', silent)} {text})" if silent else ""


STANDARDS: tuple[Standard, ...] = (
    Standard("appArmorProfile", "baseline", {0: _app_armor}),
    Standard("capabilities_baseline", "baseline", {0: _capabilities_baseline}),
    Standard("hostNamespaces", "baseline", {0: _host_namespaces}),
    Standard("hostPathVolumes", "baseline", {0: _host_path_volumes}),
    Standard("hostPorts", "baseline", {0: _host_ports}),
    Standard("hostProbesAndHostLifecycle", "baseline", {34: _host_probes}),
    Standard("privileged", "baseline", {0: _privileged}),
    Standard("procMount", "baseline", {0: _proc_mount, 35: _unless(_in_user_namespace, _proc_mount)}),
    Standard("seLinuxOptions", "baseline", {0: _se_linux(), 31: _se_linux(("container_engine_t",))}),
    Standard("seccompProfile_baseline", "baseline", {0: _seccomp_annotations, 19: _seccomp_baseline}),
    Standard("sysctls", "baseline", {minor: _sysctls(minor) for minor in _SYSCTLS}),
    Standard("windowsHostProcess", "baseline", {0: _host_process}),
    Standard(
        "allowPrivilegeEscalation", "restricted", {8: _escalation, 25: _unless(_is_windows, _escalation)}
    ),
    Standard(
        "capabilities_restricted",
        "restricted",
        {22: _capabilities_restricted, 25: _unless(_is_windows, _capabilities_restricted)},
        instead_of="capabilities_baseline",
    ),
    Standard("procMount_restricted", "restricted", {35: _proc_mount}, instead_of="procMount"),
    Standard("restrictedVolumes", "restricted", {0: _restricted_volumes}, instead_of="hostPathVolumes"),
    Standard(
        "runAsNonRoot", "restricted", {0: _run_as_non_root, 35: _unless(_in_user_namespace, _run_as_non_root)}
    ),
    Standard("runAsUser", "restricted", {23: _run_as_user, 35: _unless(_in_user_namespace, _run_as_user)}),
    Standard(
        "seccompProfile_restricted",
        "restricted",
        {19: _seccomp_restricted, 25: _unless(_is_windows, _seccomp_restricted)},
        instead_of="seccompProfile_baseline",
    ),
)
"""The levels' checks in the order of their ids, baseline first."""
