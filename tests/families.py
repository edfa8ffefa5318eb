"""Whether this machine can do what a cluster of two families of addresses needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

DISABLED = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")


def has_ipv6() -> bool:
    """Links may have IPv6 addresses, and the kernel translates them."""
    if not DISABLED.exists() or DISABLED.read_text().strip() != "0":
        return False
    command = ["unshare", "--net", "ip6tables", "-t", "nat", "-S"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
