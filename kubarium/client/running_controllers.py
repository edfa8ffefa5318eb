"""Which controllers run in this process, for a program that manages many."""

from __future__ import annotations

from kubarium.component_base.metrics import Latest

RUNNING = Latest(
    "running_managed_controllers",
    "Indicates where instances of a controller are currently running",
    ("name", "manager"),
)
