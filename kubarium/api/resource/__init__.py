"""The nouns of resource.k8s.io: devices and claims on them.

`device.py` reads one device of a ResourceSlice, `device_selector.py` compiles what chooses devices, `resource_claim.py`
answers questions about claims and who may use them.
"""
