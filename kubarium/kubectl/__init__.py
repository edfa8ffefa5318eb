"""The bundled client: `kubarium kubectl get pods`, for machines without the original.

It knows no kind: what the server serves, it learns by discovery; how objects look in a table, the server says.

    words ──▶ names (po → pods, by discovery)  ──▶ client ──▶ API server
    files ──▶ manifests (YAML → objects)       ──▶          ──▶ printers ──▶ terminal

In: command-line arguments. Out: text on standard output, errors on standard error, exit code 1.
"""
