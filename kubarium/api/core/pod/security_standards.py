"""The Pod Security Standards: what a pod may ask of its node.

    privileged   anything
    baseline     nothing that is known to break out
    restricted   what hardening advises

Each check returns upstream's words for what it forbids, or nothing.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubarium.api.core.pod.containers import all_containers
from kubarium.apimachinery.object import Object, annotations_of, spec_of

LEVELS = ("privileged", "baseline", "restricted")

Check = Callable[[Object], str]

_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)  # fmt: skip
_SYSCTLS = frozenset(
    {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
     "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
     "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
     "net.ipv4.tcp_syncookies", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
)  # fmt: skip
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
     "secret"}
)  # fmt: skip
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(pod: Object, level: str) -> list[str]:
    """What of the pod the level forbids, in upstream's order and words."""
    checks = {"baseline": BASELINE, "restricted": RESTRICTED}.get(level, ())
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


def _host_process(pod: Object) -> str:
    def wants(thing: Object) -> bool:
        return bool((_context(thing).get("windowsOptions") or {}).get("hostProcess"))

    bad = _containers_where(pod, wants)
    who = (["pod"] if wants(spec_of(pod)) else []) + ([_plural("container", bad)] if bad else [])
    text = "must not set securityContext.windowsOptions.hostProcess=true"
    return f"hostProcess ({' and '.join(who)} {text})" if who else ""


def _app_armor(pod: Object) -> str:
    bad = [f'{key}="{value}"' for key, value in sorted(annotations_of(pod).items())
           if key.startswith(_APPARMOR) and not _harmless_profile(value)]  # fmt: skip
    for who, thing in _pod_and_containers(pod):
        if (_context(thing).get("appArmorProfile") or {}).get("type") == "Unconfined":
            bad.append(f'{who} must not set AppArmor profile type to "Unconfined"')
    noun = "profiles" if len(bad) > 1 else "profile"
    return f"forbidden AppArmor {noun} ({', '.join(bad)})" if bad else ""


def _harmless_profile(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def _pod_and_containers(pod: Object) -> Iterable[tuple[str, Object]]:
    yield "pod", spec_of(pod)
    for container in all_containers(pod):
        yield f'container "{container.get("name")}"', container


def _se_linux(pod: Object) -> str:
    types, who, user, role = [], [], False, False
    for name, thing in _pod_and_containers(pod):
        options = _context(thing).get("seLinuxOptions") or {}
        bad_type = options.get("type") not in (None, *_SELINUX_TYPES)
        if bad_type:
            types.append(f'type "{options["type"]}"')
        user, role = user or bool(options.get("user")), role or bool(options.get("role"))
        if bad_type or options.get("user") or options.get("role"):
            who.append(name)
    if not who:
        return ""
    fields = [*types, *(["user may not be set"] if user else []), *(["role may not be set"] if role else [])]
    return f"seLinuxOptions ({' and '.join(who)} set forbidden securityContext.seLinuxOptions: {'; '.join(fields)})"


def _proc_mount(pod: Object) -> str:
    bad = _containers_where(pod, lambda one: _context(one).get("procMount") not in (None, "", "Default"))
    if not bad or spec_of(pod).get("hostUsers") is False:
        return ""
    return f'procMount ({_plural("container", bad)} must not set securityContext.procMount to "Unmasked")'


def _seccomp_baseline(pod: Object) -> str:
    who = [name for name, thing in _pod_and_containers(pod)
           if (_context(thing).get("seccompProfile") or {}).get("type") == "Unconfined"]  # fmt: skip
    text = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    return f"seccompProfile ({' and '.join(who)} {text})" if who else ""


def _sysctls(pod: Object) -> str:
    given = [one.get("name") or "" for one in _context(spec_of(pod)).get("sysctls") or ()]
    bad = [name for name in given if name not in _SYSCTLS]
    return f"forbidden sysctls ({', '.join(bad)})" if bad else ""


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
    whole = _context(spec_of(pod)).get("runAsNonRoot")
    explicit = _containers_where(pod, lambda one: _context(one).get("runAsNonRoot") is False)
    if explicit:
        who = _plural("container", explicit)
        return f"runAsNonRoot != true ({who} must not set securityContext.runAsNonRoot=false)"
    if whole:
        return ""
    silent = _containers_where(pod, lambda one: not _context(one).get("runAsNonRoot"))
    if whole is False and silent:
        return "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
    text = "must set securityContext.runAsNonRoot=true"
    return f"runAsNonRoot != true (pod or {_plural('container', silent)} {text})" if silent else ""


def _run_as_user(pod: Object) -> str:
    bad = _containers_where(pod, lambda one: _context(one).get("runAsUser") == 0)
    who = (["pod"] if _context(spec_of(pod)).get("runAsUser") == 0 else []) + (
        [_plural("container", bad)] if bad else []
    )
    return f"runAsUser=0 ({' and '.join(who)} must not set runAsUser=0)" if who else ""


def _seccomp_restricted(pod: Object) -> str:
    def kind(thing: Object) -> str | None:
        found: str | None = (_context(thing).get("seccompProfile") or {}).get("type")
        return found

    wanted = ("RuntimeDefault", "Localhost")
    choices = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    bad = _containers_where(pod, lambda one: kind(one) not in (None, *wanted))
    whole = kind(spec_of(pod))
    if bad or whole not in (None, *wanted):
        who = (["pod"] if whole not in (None, *wanted) else []) + ([_plural("container", bad)] if bad else [])
        return f'seccompProfile ({" and ".join(who)} must not set {choices.split(" to ")[0]} to "Unconfined")'
    if whole in wanted:
        return ""
    silent = _containers_where(pod, lambda one: kind(one) is None)
    return f"seccompProfile (pod or {_plural('container', silent)} must set {choices})" if silent else ""


BASELINE: tuple[Check, ...] = (
    _app_armor, _capabilities_baseline, _host_namespaces, _host_path_volumes, _host_ports, _privileged, _proc_mount,
    _se_linux, _seccomp_baseline, _sysctls, _host_process,
)  # fmt: skip
RESTRICTED: tuple[Check, ...] = (
    _app_armor, _host_namespaces, _host_ports, _privileged, _proc_mount, _se_linux, _sysctls, _host_process,
    _escalation, _capabilities_restricted, _restricted_volumes, _run_as_non_root, _run_as_user, _seccomp_restricted,
)  # fmt: skip
