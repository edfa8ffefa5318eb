"""Deployment: hand pods over from old ReplicaSets to a new one, at a pace that keeps the service up."""
