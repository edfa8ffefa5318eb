"""What a pod knows of the network: its resolver configuration; addresses come from the runtime's plug-in."""
