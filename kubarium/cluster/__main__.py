"""The command `kubarium`: the start of `commands`."""

from __future__ import annotations

from kubarium.component_base import interrupted


def main() -> None:
    """Run one command."""
    interrupted.imported("kubarium.cluster.commands").main()


if __name__ == "__main__":
    main()
