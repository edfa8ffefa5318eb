"""flowcontrol.apiserver.k8s.io: who waits for whom."""
