"""The launcher: `kubarium up` makes a whole cluster out of one machine, `kubarium down` takes it away.

In: a name, a number of nodes. Out: processes, namespaces, kernel links, and a kubeconfig.
It may import the libraries below it and never a component: components are other processes.

    __main__  ──▶  launcher  ──▶  state, pki, images        files under $KUBARIUM_HOME
    (commands)       │      ──▶  host_network, cgroups      the kernel's part
                     │      ──▶  programs                   which program runs with which flags
                     ▼
                  keeper (host) ── etcd, kube-apiserver, kube-controller-manager, kube-scheduler, node-network, …
                     │
                     └─ node ── keeper (pid 1 of the node's namespaces)
                                  └─ containerd, kubelet, kube-proxy
"""
