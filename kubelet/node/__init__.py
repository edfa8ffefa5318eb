"""The node as an API object: registered once, reported every few minutes and on change, kept alive by a Lease."""
