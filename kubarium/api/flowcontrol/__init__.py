"""The nouns of flowcontrol.apiserver.k8s.io: whose requests go first."""
