"""The nouns of storage.k8s.io: classes, drivers, attachments."""
