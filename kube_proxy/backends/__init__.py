"""Ways to tell the kernel: each backend renders a `Ruleset` and applies it in one transaction."""
