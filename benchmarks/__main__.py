"""`python -m benchmarks [work...]`: print the figures of this machine."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.api_server import measure

PORT = 25300

if __name__ == "__main__":
    for work, result in asyncio.run(measure(PORT, tuple(sys.argv[1:]))):
        print(f"{work:45s} {result}")
