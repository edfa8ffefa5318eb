"""Programs that serve the cluster as its clients: each could be replaced by anyone's."""
