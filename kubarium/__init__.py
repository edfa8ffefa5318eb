"""What the programs of the cluster share, and the command that puts them together.

    component_base   a process: flags, logs, health, clock
    apimachinery     the grammar: metadata, selectors, patches, schemas
    api              the nouns: Pod, Service, Deployment ...
    client           how to talk to the API server
    cluster          `kubarium up`
    kubectl          the bundled command line

Each may import only what stands above it in this list.
"""
