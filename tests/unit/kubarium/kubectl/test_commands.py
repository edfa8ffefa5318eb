"""What single commands make of their words, their files and the server's answers."""

from __future__ import annotations

import io
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kubarium.apimachinery.errors import StatusError
from kubarium.client import kubeconfig
from kubarium.kubectl.cli import cli
from kubarium.kubectl.commands import (
    change,
    cp,
    create_access,
    create_networking,
    diff,
    edit,
    events,
    nodes,
    port_forward,
    scale,
    top,
)
from kubarium.kubectl.commands.proxy import Gate
from kubarium.kubectl.evictions import DrainOptions, judge
from kubarium.kubectl.printers import document
from kubarium.kubectl.refusals import refusal
from kubarium.kubectl.session import CommandFailed


def test_taints_are_added_and_taken_away() -> None:
    added, removed = nodes.read_taints(["a=b:NoSchedule", "c:NoExecute", "d-", "e:NoSchedule-"])
    assert added == [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "NoExecute"},
    ]
    assert removed == [{"key": "d"}, {"key": "e", "effect": "NoSchedule"}]
    before = [
        {"key": "a", "effect": "NoSchedule"},
        {"key": "d", "effect": "NoExecute"},
        {"key": "e", "effect": "NoSchedule"},
        {"key": "e", "effect": "NoExecute"},
    ]
    assert nodes.retainted(before, added, removed) == [*added, {"key": "e", "effect": "NoExecute"}]
    with pytest.raises(CommandFailed, match='taint "x:NoSchedule" not found'):
        nodes.retainted(before, [], [{"key": "x", "effect": "NoSchedule"}])
    with pytest.raises(CommandFailed, match="invalid taint effect: Wrong, unsupported taint effect"):
        nodes.read_taints(["a=b:Wrong"])


def pod(owner: str = "", phase: str = "Running", **spec: Any) -> Any:
    owners = [{"kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
    return {
        "metadata": {"name": "p", "ownerReferences": owners},
        "spec": spec,
        "status": {"phase": phase},
    }


def test_ports_lead_only_into_pods_that_run_and_patches_are_read_before_they_are_sent() -> None:
    port_forward.require_running(pod())
    with pytest.raises(CommandFailed, match="Current status=Pending"):
        port_forward.require_running(pod(phase="Pending"))
    assert change.read_patch('{"a": null}') == change.read_patch("a:") == {"a": None}
    with pytest.raises(CommandFailed, match="unable to parse "):
        change.read_patch('{"x"')


def test_a_drain_leaves_what_would_come_back_and_refuses_what_would_be_lost() -> None:
    keen = DrainOptions(ignore_daemonsets=True, delete_emptydir_data=True, force=True)
    local = {"volumes": [{"name": "v", "emptyDir": {}}]}
    assert judge(pod("ReplicaSet"), DrainOptions()).goes
    assert "--ignore-daemonsets" in judge(pod("DaemonSet"), DrainOptions()).refusal
    assert "--delete-emptydir-data" in judge(pod("ReplicaSet", **local), DrainOptions()).refusal
    assert "--force" in judge(pod(), DrainOptions()).refusal
    assert not judge(pod("DaemonSet"), keen).goes
    assert judge(pod(**local), keen).goes
    assert judge(pod(phase="Succeeded", **local), DrainOptions()).goes
    mirror = pod()
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert judge(mirror, keen).goes is False


def test_a_place_is_a_path_or_a_pod() -> None:
    assert cp.place("./a:b") == cp.Place("", "", "./a:b")
    assert cp.place("web:/tmp/a") == cp.Place("web", "", "/tmp/a")
    assert cp.place("ns/web:a") == cp.Place("web", "ns", "a")
    with pytest.raises(CommandFailed, match="source and destination must be file paths"):
        cp.place("a/b/c:d")


def test_an_archive_is_unpacked_below_its_target_only(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("hello")
    (source / "link").symlink_to("/etc/passwd")
    packed = cp.pack(source, "data")
    cp.unpack(io.BytesIO(packed), "/data", tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "file").read_text() == "hello"
    assert not (tmp_path / "copy" / "link").is_symlink()
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("data/../../evil"))
    evil.seek(0)
    cp.unpack(evil, "/data", tmp_path / "copy")
    assert not (tmp_path / "evil").exists()


def test_amounts_are_added_up() -> None:
    one = top.usage({"cpu": "1500000n", "memory": "2Mi"})
    assert one == (2, 2 * top.MEBI)
    assert top.total([one, (10, 1)]) == (12, 2 * top.MEBI + 1)


def test_an_event_says_how_often() -> None:
    event = {
        "metadata": {"namespace": "ns"},
        "count": 3,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:01:00Z",
        "type": "Warning",
        "reason": "BackOff",
        "involvedObject": {"kind": "Pod", "name": "web"},
        "message": "again\n",
    }
    now = datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
    assert events.line(event, now) == ["60s (x3 over 2m)", "Warning", "BackOff", "Pod/web", "again"]


def test_a_secrets_values_are_stars_that_tell_changes() -> None:
    before = {"data": {"same": "a", "other": "b", "gone": "c"}}
    after = {"data": {"same": "a", "other": "x", "new": "d"}}
    diff.mask(before, after)
    assert before["data"] == {"same": "***", "other": "*** (before)", "gone": "***"}
    assert after["data"] == {"same": "***", "other": "*** (after)", "new": "***"}


def test_what_was_edited_must_be_the_same_object() -> None:
    before = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    assert edit.without_comments("# no\na: 1\n") == "a: 1\n"
    assert edit.read(yaml.safe_dump(before), before) == before
    with pytest.raises(CommandFailed, match="apiVersion, kind and name was changed"):
        edit.read("{apiVersion: v1, kind: Pod, metadata: {name: b}}", before)
    with pytest.raises(CommandFailed, match="error parsing edited-file"):
        edit.read("{", before)


@pytest.mark.parametrize(
    ("method", "path", "host", "passes"),
    [
        ("GET", "/api/v1/pods", "localhost:8001", True),
        ("GET", "/api/v1/pods", "127.0.0.1:8001", True),
        ("GET", "/api/v1/pods", "evil.example:8001", False),
        ("POST", "/api/v1/namespaces/a/pods/b/exec", "localhost", False),
    ],
)
def test_the_proxy_is_for_this_machine(method: str, path: str, host: str, passes: bool) -> None:
    gate = Gate(r"^localhost$,^127\.0\.0\.1$", "^.*", "^/api/.*/pods/.*/exec", "^$")
    assert gate.lets_in(method, path, host) is passes


def test_an_autoscaler_aims_at_a_share_or_an_amount() -> None:
    assert scale.metric("cpu", "80%")["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 80,
    }
    assert scale.metric("memory", "1Gi")["resource"]["target"] == {
        "type": "AverageValue",
        "averageValue": "1Gi",
    }


def test_a_binding_names_users_groups_and_accounts() -> None:
    made = create_access.binding("RoleBinding", "b", ("Role", "r"), ["u"], ["g"], ["ns:a"])
    assert [subject["kind"] for subject in made["subjects"]] == ["User", "Group", "ServiceAccount"]
    assert made["subjects"][2] == {"kind": "ServiceAccount", "namespace": "ns", "name": "a"}
    with pytest.raises(CommandFailed, match="serviceaccount must be <namespace>:<name>"):
        create_access.binding("RoleBinding", "b", ("Role", "r"), [], [], ["a"])


def test_verbs_are_parted_by_commas_and_users_are_not() -> None:
    role = cli.commands["create"].commands["role"]  # type: ignore[attr-defined]
    binding = cli.commands["create"].commands["rolebinding"]  # type: ignore[attr-defined]
    words = ["r", "--verb", "get,list", "--verb", "list"]
    assert role.make_context("role", words).params["verb"] == ["get", "list"]
    words = ["b", "--user", "CN=a,O=b"]
    assert binding.make_context("rolebinding", words).params["user"] == ["CN=a,O=b"]


def test_the_rules_of_an_ingress() -> None:
    rules, tls = create_networking.read_rules(["h/a*=s:80,tls=t", "h/=s:web"])
    paths = rules[0]["http"]["paths"]
    assert rules[0]["host"] == "h"
    assert [(path["path"], path["pathType"]) for path in paths] == [("/a", "Prefix"), ("/", "Exact")]
    assert paths[1]["backend"] == {"service": {"name": "s", "port": {"name": "web"}}}
    assert tls == [{"hosts": ["h"], "secretName": "t"}]
    with pytest.raises(CommandFailed, match="should be in format"):
        create_networking.read_rules(["h=s:80"])


def test_the_ports_of_a_service() -> None:
    made = create_networking.service_of("s", "ClusterIP", ["80:web", "443"])
    assert made["spec"]["ports"] == [
        {"name": "80-web", "port": 80, "protocol": "TCP", "targetPort": "web"},
        {"name": "443", "port": 443, "protocol": "TCP", "targetPort": 443},
    ]


@pytest.mark.parametrize("text", ["", "true", "12", "1e3", "y", "2026-01-01T00:00:00Z", "null", "~"])
def test_yaml_quotes_what_would_be_read_as_something_else(text: str) -> None:
    assert document({"a": text}, "yaml") == f'a: "{text}"'


def test_a_flag_of_a_commands_own_goes_before_the_global_one() -> None:
    binding = cli.commands["create"].commands["rolebinding"]  # type: ignore[attr-defined]
    assert [parameter.multiple for parameter in binding.params if "--user" in parameter.opts] == [True]
    assert any("--token" in parameter.opts for parameter in binding.params)


def test_an_invalid_object_has_a_line_a_field() -> None:
    causes = [{"field": "spec.a", "message": "Required value"}, {"field": "spec.b", "message": "Bad"}]
    error = StatusError("…", {"kind": "Pod", "name": "p", "causes": causes}, code=422, reason="Invalid")
    assert refusal(error) == 'The Pod "p" is invalid: \n* spec.a: Required value\n* spec.b: Bad'
    del causes[1]
    assert refusal(error) == 'The Pod "p" is invalid: spec.a: Required value'
    assert refusal(StatusError("gone", code=404, reason="NotFound")) == "Error from server (NotFound): gone"


def test_a_kubeconfig_is_written_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "config"
    run = CliRunner()

    def config(*words: str) -> str:
        done = run.invoke(cli, ["config", *words, "--kubeconfig", str(path)], catch_exceptions=False)
        return done.output.rstrip("\n")

    config("set-cluster", "c", "--server", "https://h:1")
    config("set-credentials", "u", "--token", "secret")
    assert config("set-context", "x", "--cluster", "c", "--user", "u", "-n", "ns") == 'Context "x" created.'
    assert config("use-context", "x") == 'Switched to context "x".'
    assert config("current-context") == "x"
    assert config("set-context", "--current", "-n", "other") == 'Context "x" modified.'
    assert config("get-contexts", "--no-headers") == "*   x   c   u   other"
    assert "secret" not in config("view") and "REDACTED" in config("view", "--minify")
    assert "secret" in config("view", "--raw")
    assert config("rename-context", "x", "y") == 'Context "x" renamed to "y".'
    assert config("delete-context", "y").startswith(f"deleted context y from {path}\nwarning: ")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandFailed, match='no context exists with the name: "y"'):
        config("use-context", "y")


def test_several_kubeconfigs_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (tmp_path / name / "config" for name in ("a", "b", "missing"))
    monkeypatch.setenv("KUBECONFIG", f"{third}:{first}:{second}")

    def config(*words: str, file: Path | None = None) -> str:
        given = ["--kubeconfig", str(file)] if file else []
        return CliRunner().invoke(cli, ["config", *words, *given], catch_exceptions=False).output.strip()

    config("set-cluster", "one", "--server", "https://one", file=first)
    config("set-cluster", "one", "--server", "https://other", file=second)
    config("set-cluster", "two", "--server", "https://two", file=second)
    config("set-context", "x", "--cluster", "two", "--user", "u", file=second)
    config("use-context", "x", file=second)
    config("set-credentials", "u", "--token", "secret", file=second)
    before = second.read_text()

    assert config("current-context") == "x" and kubeconfig.load().server == "https://two"
    assert kubeconfig.load(cluster="one").server == "https://one"  # the first that has a name wins
    config("set-cluster", "two", "--server", "https://new")  # it stays where it is
    config("set-context", "new", "--cluster", "one")  # and this comes into the first file that exists
    config("use-context", "new")
    assert "https://two" in before and second.read_text() == before.replace("https://two", "https://new")
    assert "current-context: new" in first.read_text() and kubeconfig.load().server == "https://one"
    config("rename-context", "x", "renamed")
    assert "name: renamed" in second.read_text() and not third.exists()


def test_which_ports_are_forwarded() -> None:
    target = pod()
    container = {"name": "c", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}
    target["spec"]["containers"] = [container]
    ports = [
        {"name": "web", "port": 80, "targetPort": "http"},
        {"port": 81, "targetPort": 9000},
        {"port": 82},
    ]
    service = {"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.0.9", "ports": ports}}
    headless = {"metadata": {"name": "s"}, "spec": {"clusterIP": "None", "ports": ports}}
    for text, behind, pair in (
        ("80", None, (80, 80)),
        (":80", None, (0, 80)),
        ("1:http", None, (1, 8080)),
        ("80", service, (80, 8080)),
        ("1:web", service, (1, 8080)),
        ("1:81", service, (1, 9000)),
        ("1:81", headless, (1, 81)),
    ):
        assert port_forward.pair_of(text, target, behind) == pair
    for text, behind, said in (
        ("x:80", None, "error parsing local port 'x': strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("99999:80", None, 'parsing "99999": value out of range'),
        ("1:0", None, "remote port must be > 0"),
        ("1:x", None, "does not have a named port 'x'"),
        ("1:83", service, "Service s does not have a service port 83"),
    ):
        with pytest.raises(CommandFailed, match=re.escape(said)):
            port_forward.pair_of(text, target, behind)
