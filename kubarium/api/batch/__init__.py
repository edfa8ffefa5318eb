"""The nouns of the group batch: Job and CronJob."""
