"""Clusters that start at once get different networks and ports."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kubarium.cluster import claim
from kubarium.cluster.programs import PORTS
from kubarium.cluster.state import NETWORKS

NOBODYS = 1000 + NETWORKS  # no cluster has this number


@pytest.fixture
def number() -> int:
    """Other runs of these tests have others."""
    return NOBODYS + os.getpid()


def is_free(number: int) -> bool:
    found = claim.claim(number)
    if found is not None:
        found.release()
    return found is not None


def test_a_network_is_given_away_once(number: int) -> None:
    first = claim.claim(number)
    assert first is not None and not is_free(number)
    first.release()
    assert is_free(number)


async def test_who_has_no_choice_waits_for_the_last_holder_to_end(number: int) -> None:
    last = claim.claim(number)
    assert last is not None
    waiting = asyncio.ensure_future(claim.first_free(number, patience=60))
    done, _ = await asyncio.wait([waiting], timeout=3 * claim.PAUSE)
    assert not done
    last.release()
    found = await waiting
    assert found.network == number
    found.release()


def test_a_claim_lives_as_long_as_the_program_that_inherited_it(number: int) -> None:
    held = claim.claim(number)
    assert held is not None
    held.hand_over()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        held.release()
        assert not is_free(number)
    finally:
        child.kill()
        child.wait()
    assert is_free(number)


def test_the_keeper_does_not_pass_its_claim_on(number: int) -> None:
    script = (
        "import subprocess; from kubarium.cluster import keeper; keeper.keep_what_was_inherited(); "
        "print(subprocess.run(['ls', '-l', '/proc/self/fd'], close_fds=False, capture_output=True, text=True).stdout)"
    )
    held = claim.claim(number)
    assert held is not None
    held.hand_over()
    root = Path(__file__).parents[4]
    shown = subprocess.run(
        [sys.executable, "-c", script], close_fds=False, capture_output=True, text=True, cwd=root, check=True
    )
    number_of_socket = os.fstat(held._holder.fileno()).st_ino
    held.release()
    assert f"socket:[{number_of_socket}]" not in shown.stdout and "->" in shown.stdout


def test_no_port_belongs_to_two_networks() -> None:
    owners: dict[int, tuple[str, int]] = {}
    for network in range(NETWORKS):
        for name in PORTS:
            for port in claim.ports_of(name, network):
                assert owners.setdefault(port, (name, network)) == (name, network)
    assert all(next(claim.ports_of(name, 0)) == port for name, port in PORTS.items())


def test_a_taken_port_is_left_out() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        assert claim.free_ports({"etcd": port}, 31)["etcd"] != port
