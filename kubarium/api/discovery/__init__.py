"""The nouns of the group discovery.k8s.io: EndpointSlice."""
