"""The nouns of the group policy: PodDisruptionBudget."""
