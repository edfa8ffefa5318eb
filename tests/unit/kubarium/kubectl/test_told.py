"""What commands say beside their work: which container was taken, what a trial would do, what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.kubectl import dry_run
from kubarium.kubectl.cli import cli, main
from kubarium.kubectl.commands.create import ALIASES, create
from kubarium.kubectl.commands.logs import pods_to_read
from kubarium.kubectl.commands.rollout import CHANGE_CAUSE, revision_template, template_text
from kubarium.kubectl.names import Kind, Names, Target
from kubarium.kubectl.pods import container_of
from kubarium.kubectl.session import Session

EMPTY_CONFIG = "apiVersion: v1\nkind: Config\n"


def pod(**annotations: str) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "default", "annotations": annotations},
        "spec": {
            "containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": [{"name": "i"}],
            "ephemeralContainers": [{"name": "e"}],
        },
    }


def test_a_container_that_nobody_named_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert container_of(pod(), "") == "a"
    assert capsys.readouterr().err == 'Defaulted container "a" out of: a, b, e (ephem), i (init)\n'
    assert container_of(pod(), "", quiet=True) == container_of(pod(), "a") == "a"
    assert container_of(pod(**{"kubectl.kubernetes.io/default-container": "b"}), "") == "b"
    alone: Any = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "only"}]}}
    assert container_of(alone, "") == "only"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        "label",
        "annotate",
        "patch",
        "set image",
        "scale",
        "cordon",
        "uncordon",
        "taint",
        "rollout undo",
    ],
)
def test_a_change_can_be_tried(words: str) -> None:
    command: Any = cli
    for word in words.split():
        command = command.commands[word]
    assert "--dry-run" in {name for option in command.params for name in option.opts}


def test_a_trial_is_told() -> None:
    assert dry_run.told("labeled", "none") == "labeled"
    assert dry_run.told("labeled", "server") == "labeled (server dry run)"


DEPLOYMENTS = Kind(
    "apps", "v1", "deployments", "deployment", "Deployment", True, frozenset(), ("deploy",), (), frozenset()
)


class KnownNames(Names):
    """A server that serves deployments."""

    async def kinds(self) -> list[Kind]:
        return [DEPLOYMENTS]


def deployment() -> Object:
    metadata = {"name": "web", "namespace": "default"}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


async def test_a_trial_by_the_client_changes_nothing() -> None:
    api = FakeAPI(deployment())
    client = api.client()
    session, target = Session(client, KnownNames(client), "default", False), Target(DEPLOYMENTS, "web")
    wanted = {"metadata": {"labels": {"a": "b"}}}
    assert await dry_run.patch(session, target, wanted, "client") is None
    assert "labels" not in api.get("apps/v1", "deployments", "default", "web")["metadata"]
    assert await dry_run.patch(session, target, wanted, "none") is not None
    assert api.get("apps/v1", "deployments", "default", "web")["metadata"]["labels"] == {"a": "b"}
    await client.close()


async def test_logs_tell_which_of_several_pods_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    pods: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a"}]},
        }
        for name in ("web-1", "web-2")
    ]
    client = FakeAPI(deployment(), *pods).client()
    session = Session(client, KnownNames(client), "default", False)
    found = await pods_to_read(session, ("deploy/web",), {"selector": ""})
    assert [each["metadata"]["name"] for each in found] == ["web-1"]
    assert capsys.readouterr().err == "Found 2 pods, using pod/web-1\n"
    await client.close()


@pytest.mark.parametrize("short", ALIASES)
def test_kinds_are_made_by_their_short_names(short: str) -> None:
    result = CliRunner().invoke(create, [short, "--help"])
    assert result.exit_code == 0, result.output


def test_a_revision_shows_its_pods() -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    }
    made: Object = {
        "metadata": {"name": "web-1", "annotations": {CHANGE_CAUSE: "because"}},
        "spec": {"template": template},
    }
    text = template_text(revision_template(made))
    assert text.startswith(
        "Pod Template:\n  Labels:\tapp=web\n  Annotations:\tkubernetes.io/change-cause: because\n  Containers:\n"
    )
    assert "    Image:\ti:1\n" in text
    assert "annotations" not in template["metadata"]


def test_no_resource_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr("sys.argv", ["kubectl", "--server", "http://127.0.0.1:1", *words])
        try:
            code: int | str | None = main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    (tmp_path / "config").write_text(EMPTY_CONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    code, said = run("get")
    assert code == 1
    assert said.startswith('You must specify the type of resource to get. Use "kubectl api-resources" for')
    assert '\n\nerror: Required resource not specified.\nUse "kubectl explain <resource>"' in said
    missing = tmp_path / "missing.yaml"
    assert run("diff", "-f", str(missing)) == (2, f'error: the path "{missing}" does not exist\n')
