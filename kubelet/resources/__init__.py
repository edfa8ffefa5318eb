"""What a pod may use of the node: from requests and limits to cgroup files; and what it does use."""
