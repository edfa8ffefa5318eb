"""`python -m kubarium.kubectl`: the table of commands, and how their failures look."""

from __future__ import annotations

import sys

import click

from kubarium.apimachinery.errors import StatusError
from kubarium.client.kubeconfig import ConfigError
from kubarium.kubectl.commands import (
    change,
    create,
    create_access,
    create_networking,
    create_workloads,
    exec,
    explain,
    nodes,
    rollout,
    scale,
    server,
)
from kubarium.kubectl.commands.apply import apply
from kubarium.kubectl.commands.auth import auth
from kubarium.kubectl.commands.certificate import certificate
from kubarium.kubectl.commands.config import config
from kubarium.kubectl.commands.cp import cp
from kubarium.kubectl.commands.debug import debug
from kubarium.kubectl.commands.delete import delete
from kubarium.kubectl.commands.describe import describe
from kubarium.kubectl.commands.diff import diff
from kubarium.kubectl.commands.edit import edit
from kubarium.kubectl.commands.events import events
from kubarium.kubectl.commands.get import get
from kubarium.kubectl.commands.logs import logs
from kubarium.kubectl.commands.port_forward import port_forward
from kubarium.kubectl.commands.proxy import proxy
from kubarium.kubectl.commands.replace import replace
from kubarium.kubectl.commands.top import top
from kubarium.kubectl.commands.wait import wait
from kubarium.kubectl.jsonpath import TemplateError
from kubarium.kubectl.manifests import ManifestError
from kubarium.kubectl.names import UnknownResource, WrongArguments
from kubarium.kubectl.printers import OutputError
from kubarium.kubectl.session import Chosen, CommandFailed, warn, with_global_flags

SUBCOMMANDS = (create_access, create_networking, create_workloads)  # of `create`: they add themselves
COMMANDS = (
    get,
    describe,
    apply,
    diff,
    edit,
    replace,
    create.create,
    create.run,
    create.expose,
    delete,
    logs,
    exec.exec_command,
    exec.attach,
    cp,
    debug,
    port_forward,
    proxy,
    scale.scale,
    scale.autoscale,
    rollout.rollout,
    wait,
    change.label,
    change.annotate,
    change.patch,
    change.set_group,
    nodes.cordon,
    nodes.uncordon,
    nodes.drain,
    nodes.taint,
    top,
    events,
    auth,
    certificate,
    config,
    explain.explain,
    server.api_resources,
    server.api_versions,
    server.cluster_info,
    server.version,
)

OWN_ERRORS = (
    CommandFailed,
    UnknownResource,
    WrongArguments,
    ManifestError,
    TemplateError,
    OutputError,
    ConfigError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Control a Kubernetes cluster."""
    context.ensure_object(Chosen)


for command in COMMANDS:
    cli.add_command(command)
with_global_flags(cli)


def main() -> int:
    """Run one command; returns the exit code."""
    try:
        cli(standalone_mode=False, prog_name="kubectl")
    except click.ClickException as error:
        warn(f"error: {error.format_message()}")
        return 1
    except OWN_ERRORS as error:
        warn(f"error: {error}")
        return 1
    except StatusError as error:
        warn(refusal(error))
        return 1
    except (ConnectionError, TimeoutError) as error:
        warn(
            f"The connection to the server was refused or lost - did you specify the right host or port? ({error})"
        )
        return 1
    except (KeyboardInterrupt, click.Abort, BrokenPipeError):
        return 130
    return 0


def refusal(error: StatusError) -> str:
    """A server's refusal in kubectl's words; what is wrong with an object stands in a line a field."""
    details = error.details or {}
    if error.reason == "Invalid" and details.get("kind"):
        causes = [f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in error.causes()]
        lines = [f"* {cause}" for cause in dict.fromkeys(causes)]
        text = "\n".join(["", *lines]) if len(lines) > 1 else "".join(causes[:1])
        return f'The {details["kind"]} "{details.get("name", "")}" is invalid: {text}'
    reason = f" ({error.reason})" if error.reason else ""
    return f"Error from server{reason}: {error.message}"


if __name__ == "__main__":
    sys.exit(main())
