"""What a pod knows of the network: its resolver configuration. (Addresses come from the runtime's plug-in.)"""
