"""All libraries. Importing one enters its functions into the table.

Source: the base environment of upstream's API server, `staging/src/k8s.io/apiserver/pkg/cel/environment/base.go`
"""

from __future__ import annotations

from kubarium.apimachinery.cel import conversions, standard
from kubarium.apimachinery.cel.functions import FUNCTIONS
from kubarium.apimachinery.cel.libraries import (
    addresses,
    authorizer,
    encodings,
    formats,
    lists,
    optionals,
    quantities,
    sequences,
    text,
    urls,
    versions,
)

LIBRARIES = (
    standard, conversions, optionals, text, lists, sequences, encodings, urls, addresses, quantities, versions, formats,
    authorizer,
)  # fmt: skip
"""Every module with functions."""

__all__ = ["FUNCTIONS", "LIBRARIES"]
