"""`make fuzz`: an API server, and requests that schemathesis makes up from the OpenAPI that it publishes.

Nothing may crash and nothing may answer 500, but for what upstream answers so: configurations to apply that do not fit
their schema. Watches and streams are left out, because they end only when their client does.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from tests.integration.running import ADMIN, ApiServer, Etcd

ENDLESS = "/watch/|/proxy|/exec|/attach|/portforward|/log$"
UPSTREAM_TOO = "failed to create typed patch object"
SETTINGS = (
    "--phases=coverage,fuzzing", "--checks=not_a_server_error", "--max-examples=12", "--request-timeout=4",
    "--no-shrink", "--suppress-health-check=all", "--continue-on-failure", "--no-color", "--output-truncate=false",
    f"--exclude-path-regex={ENDLESS}",
)  # fmt: skip


def main() -> int:
    """Run group by group; returns 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help="apis/apps/v1 and the like; all, if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each group")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubarium-fuzz-") as name:
        folder = Path(name)
        etcd = Etcd(folder / "etcd")
        etcd.start()
        server = ApiServer(folder, etcd.url)
        try:
            server.start()
            found = [
                complaint
                for group in options.groups or _groups(server)
                for complaint in _try(server, folder, group, options.seconds)
            ]
            found += _crashes(folder / "apiserver.log")
        finally:
            server.stop()
            etcd.stop()
    sys.stdout.write("\n".join([*found, f"{len(found)} findings\n"]))
    return 1 if found else 0


def _groups(server: ApiServer) -> list[str]:
    paths = orjson.loads(_document(server, "/openapi/v3"))["paths"]
    return [path for path in paths if path.count("/") in (1, 2) and path.rpartition("/")[2].startswith("v")]


def _try(server: ApiServer, folder: Path, group: str, seconds: int) -> list[str]:
    """All operations of one group; each answer that should not have been."""
    schema = folder / "schema.json"
    schema.write_text(_document(server, f"/openapi/v3/{group}"))
    pair = server.credentials.ca.client(ADMIN[0], list(ADMIN[1]))
    pair.write(str(folder / "client.crt"), str(folder / "client.key"))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", schema, f"--url={server.url}",
            f"--tls-verify={server.credentials.path('ca.crt')}", f"--request-cert={folder / 'client.crt'}",
            f"--request-cert-key={folder / 'client.key'}", f"--max-time={seconds}", *SETTINGS,
        ],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    answers = [line.strip() for line in done.stdout.splitlines() if '"status":"Failure"' in line]
    found = [f"{group}: {line}" for line in answers if UPSTREAM_TOO not in line]
    found += [f"{group}: {line.strip()}" for line in done.stdout.splitlines() if "Connection aborted" in line]
    sys.stdout.write(f"{group}: {len(found)} findings\n")
    sys.stdout.flush()
    return found


def _crashes(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    return [line for line in lines if "level=error" in line or line.startswith("Traceback")]


def _document(server: ApiServer, path: str) -> str:
    async def read() -> str:
        async with server.client() as client:
            return (await client.fetch("GET", path)).content.decode()

    return asyncio.run(read())


if __name__ == "__main__":
    sys.exit(main())
