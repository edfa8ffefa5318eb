"""kubectl: the table of commands, and how their failures look."""

from __future__ import annotations

import os
import sys

import click

from kubarium.apimachinery.errors import StatusError
from kubarium.client.kubeconfig import ConfigError
from kubarium.kubectl import plugins
from kubarium.kubectl.commandline import Told, group, words_of
from kubarium.kubectl.commands import (
    about,
    apply_last,
    change,
    cluster_info_dump,
    create,
    create_access,
    create_data,
    create_networking,
    create_workloads,
    exec,
    explain,
    nodes,
    rollout,
    scale,
    server,
    set_env,
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
from kubarium.kubectl.commands.expose import expose
from kubarium.kubectl.commands.get import get
from kubarium.kubectl.commands.logs import logs
from kubarium.kubectl.commands.plugin import plugin
from kubarium.kubectl.commands.port_forward import port_forward
from kubarium.kubectl.commands.proxy import proxy
from kubarium.kubectl.commands.replace import replace
from kubarium.kubectl.commands.run import run
from kubarium.kubectl.commands.set import set_group
from kubarium.kubectl.commands.top import top
from kubarium.kubectl.commands.wait import wait
from kubarium.kubectl.go_template.lexer import TemplateError
from kubarium.kubectl.manifests import ManifestError
from kubarium.kubectl.names import NoMatch, UnknownResource, WrongArguments
from kubarium.kubectl.printers import OutputError
from kubarium.kubectl.refusals import refusal
from kubarium.kubectl.session import Chosen, CommandFailed, warn, with_global_flags

# Of `create`, `apply`, `set`, `cluster-info`: they add themselves.
SUBCOMMANDS = (
    apply_last,
    cluster_info_dump,
    set_env,
    create_access,
    create_data,
    create_networking,
    create_workloads,
)
COMMANDS = (
    create.create,
    expose,
    run,
    set_group,
    explain.explain,
    get,
    edit,
    delete,
    rollout.rollout,
    scale.scale,
    scale.autoscale,
    certificate,
    server.cluster_info,
    top,
    nodes.cordon,
    nodes.uncordon,
    nodes.drain,
    nodes.taint,
    describe,
    logs,
    exec.attach,
    exec.exec_command,
    port_forward,
    proxy,
    cp,
    auth,
    debug,
    events,
    diff,
    apply,
    change.patch,
    replace,
    wait,
    about.kustomize,
    change.label,
    change.annotate,
    server.api_resources,
    server.api_versions,
    config,
    plugin,
    server.version,
    about.completion,
    about.help_command,
    about.options,
)

OWN_ERRORS = (
    CommandFailed,
    NoMatch,
    UnknownResource,
    WrongArguments,
    ManifestError,
    TemplateError,
    OutputError,
    ConfigError,
)


@group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Control a Kubernetes cluster."""
    context.ensure_object(Chosen)


for command in COMMANDS:
    cli.add_command(command)
with_global_flags(cli)


def lost(why: str) -> str:
    """What is said when the server cannot be reached, or went away."""
    server = why.partition(": ")[0]
    if "Connect call failed" in why and "Errno 111" in why:
        return f"The connection to the server {server} was refused - did you specify the right host or port?"
    return f"Unable to connect to the server: {why}"


def main() -> int:
    """Run one command; returns the exit code."""
    if argv := plugins.found(sys.argv[1:], cli.commands):
        os.execv(argv[0], argv)
    try:
        cli(standalone_mode=False, prog_name="kubectl")
    except Told as told:
        click.echo(str(told))
        return told.code
    except click.ClickException as error:
        warn(f"error: {words_of(error)}")
        return 1
    except OWN_ERRORS as error:
        warn(f"error: {error}")
        return 1
    except StatusError as error:
        warn(refusal(error))
        return 1
    except (ConnectionError, TimeoutError) as error:
        warn(lost(str(error)))
        return 1
    except (KeyboardInterrupt, click.Abort, BrokenPipeError):
        return 130
    return 0
