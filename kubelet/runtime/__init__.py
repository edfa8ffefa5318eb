"""Everything between a pod and the container runtime.

    pod + what runs ──▶ plan.py (pure) ──▶ manager.py ──▶ interface.py ◀── cri.py | docker.py | fake.py
                                             │
                         sandbox.py, container.py: what is asked for, in the words of the CRI

What comes in: a Pod, the inputs that other parts of the kubelet prepare for its containers (`ContainerInputs`).
What goes out: sandboxes and containers that carry enough labels and annotations to be understood by the next kubelet.
Nothing here knows volumes, images or probes; it is below them.
"""
