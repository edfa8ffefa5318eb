"""Quantities such as `1.5Gi`.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-quantity-library
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery import quantity as quantities
from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class
from kubarium.apimachinery.quantity import Quantity

register_class("quantity", Quantity)


@function("isQuantity | string -> bool", cost=by_length)
def _is_quantity(text: str) -> bool:
    return quantities.is_quantity(text)


@function("quantity | string -> quantity", cost=by_length)
def _quantity(text: str) -> Quantity:
    try:
        return quantities.parse(text)
    except quantities.QuantityError as error:
        raise EvaluationError(str(error)) from None


@function("sign | quantity -> int")
def _sign(amount: Quantity) -> int:
    return (amount.nano > 0) - (amount.nano < 0)


@function("quantity.isInteger | -> bool")
def _is_integer(amount: Quantity) -> bool:
    return amount.nano % quantities.NANO == 0 and abs(amount.nano) // quantities.NANO < 2**63


@function("quantity.asInteger | -> int")
def _as_integer(amount: Quantity) -> int:
    if not _is_integer(amount):
        raise EvaluationError("cannot convert value to integer")
    return amount.nano // quantities.NANO


@function("quantity.asApproximateFloat | -> double")
def _as_float(amount: Quantity) -> float:
    return amount.as_float()


@function("quantity.add | quantity -> quantity", "quantity.add | int -> quantity")
def _add(amount: Quantity, other: Any) -> Quantity:
    nano = other.nano if isinstance(other, Quantity) else other * quantities.NANO
    return amount._replace(nano=amount.nano + nano)


@function("quantity.sub | quantity -> quantity", "quantity.sub | int -> quantity")
def _sub(amount: Quantity, other: Any) -> Quantity:
    nano = other.nano if isinstance(other, Quantity) else other * quantities.NANO
    return amount._replace(nano=amount.nano - nano)


@function("quantity.isLessThan | quantity -> bool")
def _is_less(amount: Quantity, other: Quantity) -> bool:
    return amount.nano < other.nano


@function("quantity.isGreaterThan | quantity -> bool")
def _is_greater(amount: Quantity, other: Quantity) -> bool:
    return amount.nano > other.nano


@function("quantity.compareTo | quantity -> int")
def _compare_to(amount: Quantity, other: Quantity) -> int:
    return (amount.nano > other.nano) - (amount.nano < other.nano)
