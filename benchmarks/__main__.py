"""`python -m benchmarks [work...]`: print the figures of this machine, as a table and as one line of JSON.

Without words: a whole cluster, then the API server. `cluster` measures the cluster alone, the names of the API
server's works (`get`, `list`, `watch` …) only these, `simulated` a cluster of simulated nodes.
"""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks import api_server, cluster, simulated_nodes

PORT = 25300


def main(words: list[str]) -> None:
    """Measure and print."""
    found: list[tuple[str, str]] = []
    if not words or "cluster" in words:
        found += cluster.measure()
        for work, result in found:
            print(f"{work:45s} {result}", flush=True)
    if words != ["cluster"]:
        found += asyncio.run(api_server.measure(PORT, tuple(words)))
    print()
    for work, result in found:
        print(f"{work:45s} {result}")
    print(json.dumps(dict(found)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["simulated"]:
        simulated_nodes.main(sys.argv[2:])
    else:
        main(sys.argv[1:])
