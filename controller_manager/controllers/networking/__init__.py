"""Controllers that tell the network where the pods of a Service are."""
