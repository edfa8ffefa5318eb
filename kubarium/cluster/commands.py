"""`kubarium`: the commands."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from kubarium.apimachinery import names
from kubarium.apimachinery.errors import StatusError
from kubarium.client.kubeconfig import ConfigError
from kubarium.cluster import health, images, launcher, machine, processes, programs, state, terminal, waiting
from kubarium.cluster import why as decisions
from kubarium.cluster.machine import LaunchError
from kubarium.cluster.programs import HOST_PROGRAMS, NODE_PROGRAMS
from kubarium.cluster.shell import CommandError
from kubarium.cluster.state import DEFAULT_NAME, Cluster, Settings
from kubarium.component_base import logging

T = TypeVar("T")


def checked_name(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Names of clusters and nodes become host names and names of files."""
    problems = names.dns_label_errors(text) if text is not None else []
    if problems:
        raise click.BadParameter(f"{text!r}: {problems[0]}")
    return text


_ASK_NOBODY = ("completion", "help", "kustomize", "plugin")  # commands of kubectl that need no cluster

name_option = click.option(
    "--name",
    default=lambda: os.environ.get("KUBARIUM_NAME", DEFAULT_NAME),
    callback=checked_name,
    help="Which cluster.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kubarium", message="kubarium %(version)s, Kubernetes v1.36")
@click.option("-v", "verbosity", default=0, help="2 and more shows debug lines.")
def cli(verbosity: int) -> None:
    """A whole Kubernetes under glass."""
    if verbosity:
        logging.setup("kubarium", verbosity)


@cli.command()
@name_option
@click.option(
    "--nodes",
    default=None,
    type=click.IntRange(0, 100),
    help="How many nodes a new cluster has (3; without root none, if there are simulated ones).",
)
@click.option(
    "--simulated-nodes",
    "simulated",
    default=None,
    type=click.IntRange(0, 10000),
    help="How many nodes there are besides on which nothing really runs.",
)
@click.option(
    "--proxy-mode", type=click.Choice(["iptables", "nftables"]), help="How kube-proxy writes its rules."
)
@click.option(
    "--ip-family",
    type=click.Choice(state.IP_FAMILIES),
    help="Addresses of a new cluster: IPv4 alone, or IPv6 besides.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PROGRAM:FLAG=VALUE",
    help="One more flag for a program, kept for later; PROGRAM:FLAG- takes it back.",
)
@click.option("--wait/--no-wait", default=True, help="End when all nodes are Ready.")
def up(
    name: str,
    nodes: int | None,
    simulated: int | None,
    proxy_mode: str | None,
    ip_family: str | None,
    settings: tuple[str, ...],
    wait: bool,
) -> None:
    """Start a cluster, or start it again as it was."""
    extra = parse_settings(settings)
    with locked(name) as home:
        try:
            run(_up(home, name, nodes, simulated, proxy_mode, ip_family, extra, wait))
        except KeyboardInterrupt:
            terminal.complain(
                "interrupted; go on with: kubarium up, or take away what there is: kubarium down"
            )
            raise


async def _up(
    home: Path,
    name: str,
    nodes: int | None,
    simulated: int | None,
    proxy_mode: str | None,
    ip_family: str | None,
    extra: Settings,
    wait: bool,
) -> None:
    began, progress = time.monotonic(), terminal.TerminalProgress()
    cluster = state.load(home, name)
    machine.check_disk(home, machine.DISK_BYTES if cluster is None else machine.SPARE_BYTES)
    if cluster is None:
        if nodes is None:
            nodes = 0 if simulated and os.geteuid() != 0 else 3
        machine.check_machine(with_nodes=nodes > 0)
        family = ip_family or "ipv4"
        machine.check_family(family)
        cluster = launcher.create(home, name, nodes, simulated=simulated or 0, ip_family=family)
    elif ip_family not in (None, cluster.ip_family):
        raise LaunchError(f"cluster {name} is {cluster.ip_family}: that cannot change but by down --wipe")
    elif nodes is not None and nodes != len(cluster.nodes):
        terminal.console.print(
            f"Cluster {name} has {len(cluster.nodes)} nodes; see: kubarium node add|remove"
        )
    machine.check_machine(with_nodes=bool(cluster.nodes))
    changes = proxy_mode is not None or bool(extra) or simulated not in (None, cluster.simulated)
    if not changes and processes.keeper_pid(cluster) is not None and await health.all_ready(cluster):
        terminal.console.print(
            f"Cluster [bold]{name}[/] is up: {len(cluster.nodes)} nodes, {cluster.simulated} simulated. "
            "See: kubarium status"
        )
        return
    cluster = launcher.with_settings(cluster, proxy_mode, extra, simulated)
    cluster = await launcher.start(cluster, progress)
    if cluster.stopped:
        terminal.say(f"Not started, as they were stopped: {', '.join(cluster.stopped)}. See: kubarium start")
    if wait:
        before = waiting.restarts(cluster)
        await waiting.wait_ready(cluster, progress)
        await health.wait_steady(cluster, before)
        terminal.started(cluster, time.monotonic() - began)


@cli.command()
@name_option
@click.option("--wipe", is_flag=True, help="Forget the cluster's data, too.")
def down(name: str, wipe: bool) -> None:
    """Stop a cluster; its data stays, unless --wipe."""
    with locked(name) as home:
        cluster = state.load(home, name)
        if cluster is None:
            cluster, wipe = launcher.recovered(home, name), True
        if cluster is None:
            terminal.console.print(f"There is no cluster {name} in {home}.")
            return
        run(launcher.stop(cluster, terminal.TerminalProgress()))
        if wipe:
            launcher.wipe(cluster)
        terminal.console.print(f"Cluster [bold]{name}[/] is down{' and forgotten' if wipe else ''}.")


@cli.command()
@name_option
def status(name: str) -> None:
    """Show every process: pid, memory, health, log file."""
    cluster = known(name)
    if processes.keeper_pid(cluster) is None:
        terminal.say(f"Cluster {name} is down; start it with: {up_command(name)}")
    terminal.status(cluster, run(health.of_all(cluster)))


@cli.command()
@name_option
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines.")
@click.option("--tail", default=None, type=int, help="Only that many lines from the end.")
@click.argument("component")
def logs(name: str, component: str, follow: bool, tail: int | None) -> None:
    """Print the log of a program.

    COMPONENT is a name from kubarium status: etcd, kube-apiserver (or apiserver), node-1/kubelet.
    """
    path = report(known(name), component).log
    if not path.exists():
        raise LaunchError(f"{component} has not written anything yet")
    lines = "+1" if tail is None else str(tail)
    become("tail", "-n", lines, *(["-F"] if follow else []), str(path))


def command_that_sends(verb: str, number: signal.Signals, purpose: str) -> None:
    """Add a command that signals a program; its keeper starts the program again."""

    @cli.command(verb, help=purpose)
    @name_option
    @click.argument("component")
    def command(name: str, component: str) -> None:
        signal_component(known(name), component, number)


command_that_sends("kill", signal.SIGKILL, "SIGKILL a program; its keeper starts it again.")
command_that_sends("restart", signal.SIGTERM, "Ask a program to end; its keeper starts it again.")


@cli.command("stop")
@name_option
@click.argument("component")
def stop_program(name: str, component: str) -> None:
    """Stop a program and tell how to run it by hand.

    In a debugger, changed, or another one in its place; until then it is not started again.
    """
    with held(name) as cluster:
        program = report(cluster, component).name
        command = programs.by_hand(cluster, program)
        if command is None:
            raise LaunchError(f"{program} is a node; see: kubarium node kill|shutdown")
        run(launcher.stop_program(cluster, program))
    terminal.console.print(f"{program} is stopped until: kubarium start {program}. By hand:", soft_wrap=True)
    click.echo(command)


@cli.command("start")
@name_option
@click.argument("component")
def start_program(name: str, component: str) -> None:
    """Let a program that was stopped run again."""
    with held(name) as cluster:
        program = report(cluster, component).name
        launcher.save_stopped(cluster, {*cluster.stopped} - {program})
    terminal.console.print(f"{program} runs again.")


@cli.group()
def node() -> None:
    """Add, remove, power off and start nodes."""


@node.command("add")
@name_option
@click.argument("node_name", metavar="NAME", required=False, callback=checked_name)
@click.option(
    "--set", "settings", multiple=True, metavar="PROGRAM:FLAG=VALUE", help="A flag of this node's programs."
)
def node_add(name: str, node_name: str | None, settings: tuple[str, ...]) -> None:
    """Plug in one more node."""
    progress = terminal.TerminalProgress()

    async def work(cluster: Cluster, new_name: str) -> None:
        made = await launcher.add_node(cluster, new_name, parse_settings(settings))
        await waiting.wait_ready(made, progress)

    with held(name) as cluster:
        new_name = node_name or f"node-{cluster.free_index()}"
        run(work(cluster, new_name))
    terminal.console.print(f"{new_name} is Ready.")


@node.command("remove")
@name_option
@click.argument("node_name", metavar="NAME")
def node_remove(name: str, node_name: str) -> None:
    """Take a node out of the cluster."""
    with held(name) as cluster:
        run(launcher.remove_node(cluster, node_name))
    terminal.console.print(f"{node_name} is gone.")


@node.command("kill")
@name_option
@click.argument("node_name", metavar="NAME")
def node_kill(name: str, node_name: str) -> None:
    """Power a node off: one SIGKILL, and nothing in it runs any more."""
    with held(name) as cluster:
        run(launcher.switch(cluster, node_name, on=False))
    terminal.console.print(f"{node_name} is off.")


@node.command("shutdown")
@name_option
@click.argument("node_name", metavar="NAME")
def node_shutdown(name: str, node_name: str) -> None:
    """Shut a node down: the kubelet ends its pods in order of priority, then the power goes off."""
    with held(name) as cluster:
        run(launcher.shut_down(cluster, node_name))
    terminal.console.print(f"{node_name} is off.")


@node.command("start")
@name_option
@click.argument("node_name", metavar="NAME")
def node_start(name: str, node_name: str) -> None:
    """Power a node on again."""
    with held(name) as cluster:
        run(launcher.switch(cluster, node_name, on=True))
    terminal.console.print(f"{node_name} is on.")


@node.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@name_option
@click.argument("node_name", metavar="NAME")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def node_exec(name: str, node_name: str, command: tuple[str, ...]) -> None:
    """Run a command inside a node, in all its namespaces; a shell if none is given."""
    cluster = known(name)
    pid = processes.node_pid(cluster, launcher.known_node(cluster, node_name))
    if pid is None:
        raise LaunchError(f"{node_name} is off")
    words = list(command[1:] if command[:1] == ("--",) else command)
    become("nsenter", "--target", str(pid), "--all", *(words or ["/bin/sh"]))


@cli.command()
@name_option
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
def load(name: str, archive: Path) -> None:
    """Import an archive of images on every node.

    ARCHIVE is a file of docker save or of OCI's layout; - is read from a pipe. Nodes that are added later get it, too.
    """
    cluster = known(name)
    if processes.keeper_pid(cluster) is None:
        raise LaunchError(f"cluster {name!r} is down; start it with: {up_command(name)}")
    with tempfile.TemporaryDirectory() as folder:
        if str(archive) == "-":
            archive = Path(folder, "stdin")
            with archive.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            archive = archive.rename(Path(folder, images.file_name(archive)))
        found = run(launcher.load(cluster, archive))
    for node_name, image_names in found.items():
        terminal.say(f"{node_name}: {', '.join(image_names) or 'nothing new'}")
    if not found:
        terminal.say("No node runs containers; nodes that are added will have the images.")


@cli.command()
@name_option
@click.option("-n", "--namespace", default="default", help="The pod's namespace.")
@click.option("--all", "every", is_flag=True, help="Every attempt that is remembered, not only the last.")
@click.argument("pod")
def why(name: str, namespace: str, every: bool, pod: str) -> None:
    """Tell why a pod is on its node, or on none.

    kubarium why pod/web: every node, how each of the scheduler's plugins scored it or which one refused it.
    """
    cluster = known(name)
    kind, _, bare = pod.rpartition("/")
    if kind not in ("", "pod", "pods", "po"):
        raise LaunchError(f"{pod!r} is no pod: only pods are scheduled; see: kubectl get pods")
    try:
        found = run(decisions.decisions(cluster, namespace, bare))
    except decisions.NothingKnown as error:
        raise LaunchError(str(error)) from error
    for attempt in found if every else found[-1:]:
        terminal.wide().print(decisions.render(attempt))


@cli.command()
@name_option
def kubeconfig(name: str) -> None:
    """Print the path of the admin kubeconfig."""
    click.echo(known(name).admin_conf)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False
)
@name_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """Run the bundled kubectl against the cluster.

    Or against another one, if --kubeconfig names it.
    """
    environment = dict(os.environ)
    asks_nobody = "".join(arguments[:1]) in _ASK_NOBODY or "_KUBECTL_COMPLETE" in environment
    if not asks_nobody and not any(word.startswith("--kubeconfig") for word in arguments):
        environment["KUBECONFIG"] = str(known(name).admin_conf)
    os.execve(sys.executable, [sys.executable, "-m", "kubarium.kubectl", *arguments], environment)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False
)
@name_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def etcdctl(name: str, arguments: tuple[str, ...]) -> None:
    """Run etcd's own client against the cluster's etcd.

    kubarium etcdctl get --prefix /registry: it gets the certificate that etcd believes.
    """
    cluster = known(name)
    pki = cluster.pki / "etcd"
    given = {
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": f"https://127.0.0.1:{cluster.ports['etcd']}",
        "ETCDCTL_CACERT": str(pki / "ca.crt"),
        "ETCDCTL_CERT": str(pki / "healthcheck-client.crt"),
        "ETCDCTL_KEY": str(pki / "healthcheck-client.key"),
    }
    become("etcdctl", *arguments, environment={**os.environ, **given})


@cli.command("list")
def list_clusters() -> None:
    """Show the clusters of this home."""
    home = state.home()
    if not state.names(home):
        terminal.say(f"There is no cluster in {home}; start one with: kubarium up")
    for name in state.names(home):
        cluster = state.load(home, name)
        if cluster is not None:
            word = "up" if processes.keeper_pid(cluster) is not None else "down"
            terminal.console.print(f"{name}  {word}  {len(cluster.nodes)} nodes  {cluster.subnet}")


def known(name: str) -> Cluster:
    """The cluster of that name; an error when there is none."""
    cluster = state.load(state.home(), name)
    if cluster is None:
        raise LaunchError(
            f"there is no cluster {name!r} in {state.home()}; start one with: {up_command(name)}"
        )
    return cluster


def up_command(name: str) -> str:
    """The command that starts the cluster of that name from this shell."""
    implied = os.environ.get("KUBARIUM_NAME", DEFAULT_NAME)
    return "kubarium up" if name == implied else f"kubarium up --name {name}"


def become(program: str, *arguments: str, environment: Mapping[str, str] = os.environ) -> NoReturn:
    """Go on as another program; an error that names its package when there is none."""
    path = machine.find(program)
    if path is None:
        raise LaunchError(f"missing packages: apt-get install {machine.TOOLS[program]}")
    os.execve(path, [program, *arguments], environment)


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The home; nobody else changes the cluster of that name meanwhile."""

    def busy() -> None:
        terminal.say(f"Another command works on cluster {name}; waiting for its end.")

    with state.locked(state.home() / f"{name}.lock", busy):
        yield state.home()


@contextmanager
def held(name: str) -> Iterator[Cluster]:
    """The cluster of that name, as it is now; nobody else changes it meanwhile."""
    with locked(name):
        yield known(name)


def report(cluster: Cluster, component: str) -> processes.Report:
    """The program of that name; an error when there is none."""
    found = processes.report_of(cluster, component)
    if found is None:
        there = ", ".join(each.name for each in processes.reports(cluster))
        raise LaunchError(f"there is no component {component!r}; there are: {there}")
    return found


def signal_component(cluster: Cluster, component: str, number: signal.Signals) -> None:
    """Send a signal to a program of the cluster."""
    found = report(cluster, component)
    if found.pid is None:
        raise LaunchError(f"{found.name} does not run")
    if cluster.node(found.name) is not None and number != signal.SIGKILL:
        inner = processes.node_pid(cluster, next(each for each in cluster.nodes if each.name == found.name))
        processes.kill(inner or found.pid, number)
    else:
        processes.kill(found.pid, number)
    terminal.console.print(f"sent {number.name} to {found.name} (pid {found.pid})")


def parse_settings(settings: tuple[str, ...]) -> Settings:
    """`kubelet:max-pods=20` -> {"kubelet": {"max-pods": "20"}}; `kubelet:max-pods-` takes it back."""
    found: Settings = {}
    for text in settings:
        program, colon, rest = text.partition(":")
        flag, equals, value = rest.partition("=")
        if not (colon and program and flag and (equals or flag.endswith("-"))):
            raise LaunchError(f"{text!r} is not of the form PROGRAM:FLAG=VALUE")
        if program not in (*HOST_PROGRAMS, *NODE_PROGRAMS):
            raise LaunchError(
                f"there is no program {program!r}; there are: {', '.join([*HOST_PROGRAMS, *NODE_PROGRAMS])}"
            )
        found.setdefault(program, {})[flag.strip("-")] = value if equals else None
    return found


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one command's work."""
    return asyncio.run(work)


def main() -> None:
    """The command `kubarium`."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (LaunchError, CommandError, ConfigError, StatusError) as error:
        terminal.complain(str(error))
        sys.exit(1)
    except OSError as error:
        named = error.strerror and error.filename
        terminal.complain(f"{error.filename}: {error.strerror}" if named else str(error))
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
