"""`python -m benchmarks [work...]`: print the figures of this machine.

`python -m benchmarks simulated` measures a whole cluster of simulated nodes instead of the API server.
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks import simulated_nodes
from benchmarks.api_server import measure

PORT = 25300

if __name__ == "__main__":
    if sys.argv[1:2] == ["simulated"]:
        simulated_nodes.main(sys.argv[2:])
        sys.exit()
    for work, result in asyncio.run(measure(PORT, tuple(sys.argv[1:]))):
        print(f"{work:45s} {result}")
