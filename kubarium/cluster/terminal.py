"""What `kubarium` shows: progress while it works, tables when it is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubarium.cluster import processes
from kubarium.cluster.progress import Progress
from kubarium.cluster.state import Cluster

console = Console(highlight=False)


def say(text: str) -> None:
    """One line of plain text, however long."""
    console.print(text, soft_wrap=True, markup=False)


def complain(text: str) -> None:
    """Tell on the error output what is wrong."""
    Console(highlight=False, stderr=True).print(Text.assemble(("error:", "red"), " ", text), soft_wrap=True)


def wide() -> Console:
    """A console for tables, which a pipe shall not fold."""
    return Console(highlight=False, width=None if console.is_terminal else 200)


class TerminalProgress(Progress):
    """A spinner on a terminal, one line per finished step everywhere."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        if console.is_terminal:
            with console.status(text):
                yield
        else:
            yield
        console.print(f" [green]✓[/] {text} [dim]({time.monotonic() - began:.1f} s)[/]")


def started(cluster: Cluster, seconds: float) -> None:
    """What `up` says in the end."""
    on = [node.name for node in cluster.nodes if node.on]
    besides = f", {cluster.simulated} simulated nodes" if cluster.simulated else ""
    console.print(
        f"Cluster [bold]{cluster.name}[/] is up after {seconds:.1f} s: {len(on)} nodes Ready{besides}"
    )
    console.print(f"  API server   {cluster.local_server}  (inside: {cluster.server})")
    console.print(f"  networks     nodes {cluster.subnet}, pods {cluster.pod_cidrs}")
    console.print(f"  kubeconfig   {cluster.admin_conf}", soft_wrap=True)
    console.print(f"  logs         {cluster.logs}", soft_wrap=True)
    console.print("Try:")
    console.print(f"  export KUBECONFIG={cluster.admin_conf}", soft_wrap=True)
    console.print("  kubarium status; kubectl get pods -A")


def status(cluster: Cluster, health: dict[str, str]) -> None:
    """Every process: pid, memory, age, restarts, health, log file."""
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "PID", "MEMORY", "AGE", "RESTARTS", "HEALTH", "LOG"):
        table.add_column(
            title, justify="right" if title in ("PID", "MEMORY", "RESTARTS") else "left", no_wrap=True
        )
    total = 0
    for report in processes.reports(cluster):
        pid = report.pid
        size = processes.memory(pid) if pid else 0
        total += size
        down = "stopped" if report.name in cluster.stopped else f"down: {report.exit}".removesuffix(": ")
        state = health.get(report.name, "running") if pid else down
        color = {"ok": "green", "Ready": "green", "running": "white"}.get(state, "red")
        table.add_row(
            report.name,
            str(pid or "-"),
            f"{size / 2**20:.0f} MiB" if pid else "-",
            duration(processes.age(pid)) if pid else "-",
            str(report.restarts),
            f"[{color}]{state}[/]",
            str(report.log),
        )
    Console(highlight=False, width=max(console.width, 200)).print(table)
    everything = sum(processes.memory(pid) for pid in processes.marked(cluster))
    console.print(
        f"memory: {total / 2**20:.0f} MiB in these, {everything / 2**20:.0f} MiB with shims and keepers"
    )


def duration(seconds: float) -> str:
    """`42s`, `7m`, `3h`, `2d`: as kubectl writes ages."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"
