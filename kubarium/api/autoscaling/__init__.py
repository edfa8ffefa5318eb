"""The nouns of the group autoscaling: HorizontalPodAutoscaler and Scale."""
